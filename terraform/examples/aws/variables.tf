variable "network" {
  description = "Addresses of the network that is made, with 16 bits for hosts."
  type        = string
  default     = "10.20.0.0/16"
}

variable "hosts" {
  description = "The hosts: the zone (north or south) of each, its address in the zone's subnet, who makes its machine (agent when Terraform does, ec2 when Foreshadow does), its type, and how many requests a second it can take."
  type        = map(object({ zone = string, address = string, driver = string, type = string, rate = number }))
  default = {
    edge-a = { zone = "north", address = "10.20.1.11", driver = "agent", type = "t3.medium", rate = 100 }
    edge-b = { zone = "south", address = "10.20.2.12", driver = "ec2", type = "t3.large", rate = 200 }
  }
}

variable "primary" {
  description = "The host that carries the service at first."
  type        = string
  default     = "edge-a"
}

variable "zone" {
  description = "The private DNS zone of the service; it is made."
  type        = string
  default     = "shop.example"
}

variable "client_cidrs" {
  description = "Where clients of the service come from."
  type        = list(string)
}

variable "controller_cidrs" {
  description = "Where Ansible runs."
  type        = list(string)
}

variable "image" {
  description = "The SSM parameter that names the image of the hosts."
  type        = string
  default     = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
}

variable "package" {
  description = "What pip installs on a host: ansible-foreshadow with its version, or the address of a wheel."
  type        = string
}

variable "certificate_path" {
  description = "Where the certificates of the hosts are in the SSM Parameter Store."
  type        = string
  default     = "/foreshadow/edge"
}
