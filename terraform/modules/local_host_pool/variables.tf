variable "hosts" {
  description = "The hosts by name: a loopback address for each, and what the placement should know of it."
  type = map(object({
    address  = string
    zone     = optional(string, "")
    capacity = optional(object({ cpu = optional(number), memory = optional(number), rate = optional(number) }), {})
    labels   = optional(map(string), {})
    groups   = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for host in values(var.hosts) : can(regex("^127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}$", host.address))])
    error_message = "Each address must be a loopback address, such as 127.0.0.11: agents of this pool share one machine."
  }

  validation {
    condition     = length(distinct([for host in values(var.hosts) : host.address])) == length(var.hosts)
    error_message = "Each host needs an address of its own."
  }

  validation {
    condition     = alltrue([for name in keys(var.hosts) : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", name))])
    error_message = "The name of a host has letters, digits, '.', '_' and '-', a letter or digit first, at most 63."
  }
}

variable "folder" {
  description = "Absolute path of the folder in which each agent keeps its state. It stays when the pool is destroyed."
  type        = string

  validation {
    condition     = startswith(var.folder, "/")
    error_message = "The folder must be an absolute path: agents do not run in the folder of the project."
  }
}

variable "pki_dir" {
  description = "Absolute path of the folder of the certificate authority. It is made when it is not there, and stays."
  type        = string

  validation {
    condition     = startswith(var.pki_dir, "/")
    error_message = "The folder must be an absolute path."
  }
}

variable "port" {
  description = "The port of every agent."
  type        = number
  default     = 7443

  validation {
    condition     = var.port >= 1 && var.port <= 65535
    error_message = "A port is a number from 1 to 65535."
  }
}

variable "executable" {
  description = "The program foreshadow: its name on PATH, or its path."
  type        = string
  default     = "foreshadow"
}
