terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7.0"
    }
  }

  # State for a team, in a bucket with versions; its lock lies beside it. The rest is said at init: see backend.hcl in
  # docs/aws-guide.md.
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

data "aws_ssm_parameter" "image" {
  name = var.image
}

module "pool" {
  source = "../../modules/aws_host_pool"

  name             = "edge"
  vpc_id           = aws_vpc.this.id
  ami_id           = nonsensitive(data.aws_ssm_parameter.image.value)
  package          = var.package
  certificate_path = var.certificate_path
  controller_cidrs = var.controller_cidrs
  hosts = {
    for name, host in var.hosts : name => {
      subnet_id     = aws_subnet.zone[host.zone].id
      driver        = host.driver
      address       = host.address
      instance_type = host.type
      capacity      = { rate = host.rate }
      groups        = ["edge"]
    }
  }
}

module "director" {
  source = "../../modules/aws_director"

  name                    = "shop"
  vpc_id                  = aws_vpc.this.id
  subnet_ids              = values(aws_subnet.zone)[*].id
  internal                = false
  client_cidrs            = var.client_cidrs
  host_security_group_ids = [module.pool.security_group_id]
  direct_cidrs            = distinct(concat([var.network], var.controller_cidrs))
  port                    = 8080
  health                  = { path = "/" }
  primary                 = var.primary
  targets                 = { for host in module.pool.foreshadow_hosts : host.name => { address = host.address } }
  record                  = { zone = var.zone, create_zone = true, private = true, force_destroy = true, name = "direct.${var.zone}" }

  # A load balancer that faces the world needs the way there.
  depends_on = [aws_route_table_association.zone]
}
