variable "name" {
  description = "Name of the resource whose traffic is directed; what is made is named and tagged after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$", var.name))
    error_message = "The name has lower-case letters, digits and '-' inside, at most 20: a target group's name has room for 32."
  }
}

variable "vpc_id" {
  description = "The VPC of the load balancer and of the hosts."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the load balancer, in two zones at least."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "An application load balancer needs subnets in two zones at least."
  }
}

variable "targets" {
  description = "By host, the address at which its instance of the service is reached."
  type        = map(object({ address = string }))

  validation {
    condition     = length(var.targets) >= 2 && length(var.targets) <= 5
    error_message = "There must be two to five targets: a forward action takes no more than five target groups."
  }

  validation {
    condition     = length(distinct([for target in values(var.targets) : target.address])) == length(var.targets)
    error_message = "Each host needs an address of its own."
  }
}

variable "primary" {
  description = "The host that has all traffic when the director is made; from then on the switch owns the weights."
  type        = string

  validation {
    condition     = contains(keys(var.targets), var.primary)
    error_message = "The primary must be one of the targets."
  }
}

variable "port" {
  description = "The port of the service on every host."
  type        = number

  validation {
    condition     = var.port >= 1 && var.port <= 65535
    error_message = "A port is a number from 1 to 65535."
  }
}

variable "health" {
  description = "How the load balancer checks a target."
  type = object({
    path     = optional(string, "/healthz")
    interval = optional(number, 5)
    timeout  = optional(number, 2)
    healthy  = optional(number, 2)
    failing  = optional(number, 2)
  })
  default = {}
}

variable "deregistration_delay" {
  description = "Seconds for which a target that was taken away may finish its requests."
  type        = number
  default     = 30

  validation {
    condition     = var.deregistration_delay >= 0 && var.deregistration_delay <= 3600
    error_message = "The delay is a number of seconds from 0 to 3600."
  }
}

variable "listener" {
  description = "The listener: HTTPS when a certificate is named."
  type = object({
    port            = optional(number)
    certificate_arn = optional(string)
    ssl_policy      = optional(string, "ELBSecurityPolicy-TLS13-1-2-2021-06")
  })
  default = {}
}

variable "internal" {
  description = "Whether the load balancer is reached from within the VPC only."
  type        = bool
  default     = true
}

variable "client_cidrs" {
  description = "Where clients come from."
  type        = list(string)

  validation {
    condition     = length(var.client_cidrs) > 0
    error_message = "Nobody could reach the load balancer: name the networks of its clients."
  }
}

variable "host_security_group_ids" {
  description = "Security groups of the hosts: the load balancer is let in at the port, and who is in direct_cidrs."
  type        = list(string)
  default     = []
}

variable "direct_cidrs" {
  description = "Who reaches the service at the hosts themselves: clients that follow the records, and the controller, which checks a host before they lead there."
  type        = list(string)
  default     = []

  validation {
    condition     = var.record == null || length(var.direct_cidrs) > 0
    error_message = "Records lead to the hosts themselves, where nobody could reach the service: name the networks of those clients and of the controller."
  }

  validation {
    condition     = length(distinct(var.direct_cidrs)) == length(var.direct_cidrs)
    error_message = "A network is named twice."
  }
}

variable "record" {
  description = "Weighted records that point at the hosts themselves, for clients that do not come through the load balancer: the name of a zone that is there, or of one to make, and the name of the records in it. A zone that was made is destroyed with records that others put there only with force_destroy."
  type = object({
    zone          = string
    create_zone   = optional(bool, false)
    force_destroy = optional(bool, false)
    private       = optional(bool, false)
    name          = string
    ttl           = optional(number, 10)
  })
  default = null

  validation {
    condition     = var.record == null || try(var.record.name == var.record.zone || endswith(var.record.name, ".${var.record.zone}"), false)
    error_message = "The name of the records must lie in the zone; write both in full, without a dot at the end."
  }

  validation {
    condition     = var.record == null || try(var.record.ttl >= 1 && var.record.ttl <= 172800, false)
    error_message = "The TTL is a number of seconds from 1 to 172800."
  }
}

variable "tags" {
  description = "Tags for everything."
  type        = map(string)
  default     = {}
}
