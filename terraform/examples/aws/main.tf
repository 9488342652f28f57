terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }

  # State for a team: a bucket with versions, and its own lock beside the state. Uncomment, and name your bucket.
  # backend "s3" {
  #   bucket       = "acme-terraform"
  #   key          = "foreshadow/shop.tfstate"
  #   region       = "eu-central-1"
  #   encrypt      = true
  #   use_lockfile = true
  # }
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Two subnets in two zones: one host in each, and the load balancer in both."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) == 2
    error_message = "Name two subnets."
  }
}

variable "ami_id" {
  description = "The image of the hosts: a Linux with systemd, Python 3.11 to 3.13 and the AWS command line."
  type        = string
}

variable "client_cidrs" {
  description = "Where clients of the service come from."
  type        = list(string)
}

variable "controller_cidrs" {
  description = "Where Ansible runs."
  type        = list(string)
}

variable "zone" {
  description = "The zone of the service's records; it is made."
  type        = string
  default     = "shop.example"
}

variable "hosts" {
  description = "Names of the two hosts, the first of which carries the primary at first."
  type        = list(string)
  default     = ["edge-a", "edge-b"]
}

module "pool" {
  source = "../../modules/aws_host_pool"

  name             = "edge"
  vpc_id           = var.vpc_id
  ami_id           = var.ami_id
  certificate_path = "/foreshadow/edge"
  controller_cidrs = var.controller_cidrs
  hosts = {
    for i, host in var.hosts : host => {
      subnet_id = var.subnet_ids[i]
      capacity  = { cpu = 2, memory = 4294967296 }
      groups    = ["edge"]
    }
  }
}

module "director" {
  source = "../../modules/aws_director"

  name                    = "shop"
  vpc_id                  = var.vpc_id
  subnet_ids              = var.subnet_ids
  client_cidrs            = var.client_cidrs
  host_security_group_ids = [module.pool.security_group_id]
  port                    = 8080
  primary                 = var.hosts[0]
  targets                 = { for host in module.pool.foreshadow_hosts : host.name => { address = host.address } }
  record                  = { zone = var.zone, create_zone = true, name = "direct.${var.zone}" }
}

output "foreshadow_hosts" {
  description = "The hosts, for the inventory plugin foreshadow.core.terraform_pool."
  value       = module.pool.foreshadow_hosts
}

output "listener_arn" {
  description = "For the director elbv2."
  value       = module.director.listener_arn
}

output "target_group_arns" {
  description = "For the director elbv2, by host."
  value       = module.director.target_group_arns
}

output "zone_id" {
  description = "For the director route53."
  value       = module.director.zone_id
}
