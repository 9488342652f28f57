terraform {
  required_version = ">= 1.11"
}

variable "folder" {
  description = "Absolute path of the folder of the pool."
  type        = string
}

variable "executable" {
  description = "The program foreshadow."
  type        = string
  default     = "foreshadow"
}

variable "hosts" {
  description = "The hosts of the pool, by name."
  type = map(object({
    address  = string
    zone     = optional(string, "")
    capacity = optional(object({ cpu = optional(number), memory = optional(number), rate = optional(number) }), {})
    groups   = optional(list(string), ["edge"])
  }))
  default = {
    edge-a = { address = "127.0.0.11", zone = "north", capacity = { cpu = 2 } }
    edge-b = { address = "127.0.0.12", zone = "north", capacity = { cpu = 2 } }
    edge-c = { address = "127.0.0.13", zone = "south", capacity = { cpu = 4 } }
    edge-d = { address = "127.0.0.14", zone = "south", capacity = { cpu = 4 } }
  }
}

module "pool" {
  source = "../../modules/local_host_pool"

  hosts      = var.hosts
  folder     = var.folder
  pki_dir    = "${var.folder}/pki"
  executable = var.executable
}

output "foreshadow_hosts" {
  description = "The hosts, for the inventory plugin foreshadow.core.terraform_pool."
  value       = module.pool.foreshadow_hosts
}
