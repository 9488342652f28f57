variable "name" {
  description = "Name of the pool; what it makes is named and tagged after it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{0,30}$", var.name))
    error_message = "The name of a pool has lower-case letters, digits and '-', at most 31."
  }
}

variable "vpc_id" {
  description = "The VPC of the hosts."
  type        = string
}

variable "hosts" {
  description = "The hosts by name: the subnet of each, and with it the zone, and what the placement should know of it. With the driver agent, Terraform makes the machine, whose address the subnet chooses unless it is given; with the driver ec2, Foreshadow makes it when a shadow comes."
  type = map(object({
    subnet_id     = string
    driver        = optional(string, "agent")
    address       = optional(string)
    instance_type = optional(string)
    capacity      = optional(object({ cpu = optional(number), memory = optional(number), rate = optional(number) }), {})
    labels        = optional(map(string), {})
    groups        = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for name in keys(var.hosts) : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", name))])
    error_message = "The name of a host has letters, digits, '.', '_' and '-', a letter or digit first, at most 63."
  }

  validation {
    condition     = alltrue([for host in values(var.hosts) : contains(["agent", "ec2"], host.driver)])
    error_message = "The driver of a host is agent or ec2."
  }

  validation {
    condition     = alltrue([for host in values(var.hosts) : host.driver == "agent" || host.address != null])
    error_message = "A host whose driver is ec2 needs an address of its subnet: so there can never be two machines of it."
  }
}

variable "ami_id" {
  description = "The image of the hosts: a Linux with systemd and the AWS command line, such as Amazon Linux 2023."
  type        = string
}

variable "instance_type" {
  description = "The instance type of hosts that name none."
  type        = string
  default     = "t3.medium"
}

variable "root_volume_gib" {
  description = "GiB of the root volume, which is encrypted."
  type        = number
  default     = 20

  validation {
    condition     = var.root_volume_gib >= 8
    error_message = "The root volume needs 8 GiB at least."
  }
}

variable "root_device" {
  description = "The root device of the image: /dev/xvda for Amazon Linux and Debian, /dev/sda1 for Ubuntu."
  type        = string
  default     = "/dev/xvda"
}

variable "package" {
  description = "What pip installs on a host, as root: a requirement with its version, or the address of a wheel."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9._~<>=!,@:/ \\[\\]+-]*$", var.package))
    error_message = "The package is a requirement of pip or an address, without quotes and without options."
  }
}

variable "python" {
  description = "The Python, 3.11 to 3.13, of the agent's virtual environment; a package of that name is installed when the image has no such program."
  type        = string
  default     = "python3.11"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.python))
    error_message = "The program is a name on PATH, or a path."
  }
}

variable "certificate_path" {
  description = "Path in the SSM Parameter Store under which the certificates are: <path>/ca, <path>/<host>/cert, <path>/<host>/key (a SecureString)."
  type        = string

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._-]+)+$", var.certificate_path))
    error_message = "The path begins with '/', has letters, digits, '.', '_', '-' between its slashes, and ends without one."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the parameters, when it is one of yours; null for the account's own aws/ssm."
  type        = string
  default     = null
}

variable "agent_port" {
  description = "The port of every agent."
  type        = number
  default     = 7443

  validation {
    condition     = var.agent_port >= 1024 && var.agent_port <= 65535
    error_message = "The port of an agent is a number from 1024 to 65535."
  }
}

variable "controller_cidrs" {
  description = "Where controllers call agents from, such as the subnet of AWX; nobody else reaches an agent but the other agents."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.controller_cidrs, "0.0.0.0/0") && !contains(var.controller_cidrs, "::/0")
    error_message = "An agent is not for the whole world: name the networks of your controllers."
  }
}

variable "controller_security_group_ids" {
  description = "Security groups that controllers are in, besides controller_cidrs."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags for everything."
  type        = map(string)
  default     = {}
}
