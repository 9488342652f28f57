locals {
  tags      = merge(var.tags, { "foreshadow-pool" = var.name })
  instances = { for name, host in var.hosts : name => host if host.driver == "agent" }
  # Whose machines Foreshadow makes.
  made     = sort([for name, host in var.hosts : name if host.driver == "ec2"])
  any_made = length(local.made) == 0 ? [] : [local.made]
  # What is made for a host is named after it; the names of roles leave the least room.
  prefixes = {
    for name in keys(var.hosts) : name => "${substr("${var.name}-${replace(name, "/[^A-Za-z0-9-]/", "-")}", 0, 37)}-"
  }
}

data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

data "aws_subnet" "host" {
  for_each = var.hosts

  id = each.value.subnet_id
}

# --- What a host may do: read its own certificate, nothing else ---------------------------------------------------------

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "certificate" {
  for_each = var.hosts

  statement {
    sid     = "ReadOwnCertificate"
    actions = ["ssm:GetParameter"]

    resources = [
      for key in ["ca", "${each.key}/cert", "${each.key}/key"] : join(":", [
        "arn", data.aws_partition.this.partition, "ssm", data.aws_region.this.name,
        data.aws_caller_identity.this.account_id, "parameter${var.certificate_path}/${key}",
      ])
    ]
  }

  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]

    content {
      sid       = "DecryptIt"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["ssm.${data.aws_region.this.name}.amazonaws.com"]
      }
    }
  }
}

# A role for each host: what is on one host must not be able to read the key of another.
resource "aws_iam_role" "host" {
  for_each = var.hosts

  name_prefix        = local.prefixes[each.key]
  assume_role_policy = data.aws_iam_policy_document.trust.json
  tags               = merge(local.tags, { "foreshadow-host" = each.key })
}

resource "aws_iam_role_policy" "certificate" {
  for_each = var.hosts

  name   = "certificate"
  role   = aws_iam_role.host[each.key].id
  policy = data.aws_iam_policy_document.certificate[each.key].json
}

resource "aws_iam_instance_profile" "host" {
  for_each = var.hosts

  name_prefix = local.prefixes[each.key]
  role        = aws_iam_role.host[each.key].name
  tags        = merge(local.tags, { "foreshadow-host" = each.key })
}

# --- Who reaches an agent: controllers, and the other agents, which send one another state ---------------------------------

resource "aws_security_group" "host" {
  name_prefix = "${var.name}-host-"
  description = "Hosts of the Foreshadow pool ${var.name}"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "agents" {
  security_group_id            = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = var.agent_port
  to_port                      = var.agent_port
  referenced_security_group_id = aws_security_group.host.id
  tags                         = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "controllers" {
  for_each = toset(var.controller_cidrs)

  security_group_id = aws_security_group.host.id
  description       = "controllers call agents"
  ip_protocol       = "tcp"
  from_port         = var.agent_port
  to_port           = var.agent_port
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "controller_groups" {
  for_each = toset(var.controller_security_group_ids)

  security_group_id            = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = var.agent_port
  to_port                      = var.agent_port
  referenced_security_group_id = each.value
  tags                         = local.tags
}

resource "aws_vpc_security_group_egress_rule" "all" {
  security_group_id = aws_security_group.host.id
  description       = "packages, parameters, other agents"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

# --- The hosts -------------------------------------------------------------------------------------------------------------

# One for each host: its profile reads its own certificate alone, and whoever makes the machine needs to name nothing else.
resource "aws_launch_template" "host" {
  for_each = var.hosts

  name_prefix            = local.prefixes[each.key]
  description            = "Host ${each.key} of the Foreshadow pool ${var.name}"
  image_id               = var.ami_id
  instance_type          = coalesce(each.value.instance_type, var.instance_type)
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.host.id]
  tags                   = merge(local.tags, { "foreshadow-host" = each.key })

  # The template itself is no script: ansible-test refuses files of a collection that begin like one.
  user_data = base64encode(join("\n", ["#!/bin/bash", templatefile("${path.module}/templates/agent.sh.tftpl", {
    host             = each.key
    region           = data.aws_region.this.name
    python           = var.python
    package          = var.package
    port             = var.agent_port
    certificate_path = var.certificate_path
  })]))

  iam_instance_profile {
    name = aws_iam_instance_profile.host[each.key].name
  }

  block_device_mappings {
    device_name = var.root_device

    ebs {
      volume_size           = var.root_volume_gib
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Containers on a host must not reach its role.
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  # The agent reads its certificate at boot.
  depends_on = [aws_iam_role_policy.certificate]
}

# A host whose driver is ec2 has none: Foreshadow makes its machine of the template when a shadow comes, and ends it again.
resource "aws_instance" "host" {
  for_each = local.instances

  subnet_id   = each.value.subnet_id
  private_ip  = each.value.address
  tags        = merge(local.tags, { Name = "${var.name}-${each.key}", "foreshadow-host" = each.key })
  volume_tags = merge(local.tags, { Name = "${var.name}-${each.key}" })

  launch_template {
    id      = aws_launch_template.host[each.key].id
    version = aws_launch_template.host[each.key].latest_version
  }

  lifecycle {
    # What a host runs is Foreshadow's and yours; a newer template is for hosts that are made from then on. Replace one
    # with -replace, once nothing is on it.
    ignore_changes = [launch_template, user_data, user_data_base64, ami]
  }
}

# --- What a controller needs for machines that Foreshadow makes: these hosts' templates and roles, and no others -----------

data "aws_iam_policy_document" "controller" {
  # There is always one statement: a policy without any is none.
  statement {
    sid       = "Ec2Read"
    actions   = ["ec2:DescribeInstances"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = local.any_made

    content {
      sid       = "Ec2Make"
      actions   = ["ec2:RunInstances"]
      resources = ["*"]

      condition {
        test     = "ArnEquals"
        variable = "ec2:LaunchTemplate"
        values   = [for name in statement.value : aws_launch_template.host[name].arn]
      }
    }
  }

  # A tag decides which machine may be ended, so none is given to a machine of somebody else: to one that is being made, and
  # to one that is a host's already.
  dynamic "statement" {
    for_each = local.any_made

    content {
      sid       = "Ec2TagNew"
      actions   = ["ec2:CreateTags"]
      resources = [local.machines]

      condition {
        test     = "StringEquals"
        variable = "ec2:CreateAction"
        values   = ["RunInstances"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:RequestTag/foreshadow:host"
        values   = statement.value
      }

      condition {
        test     = "ForAllValues:StringLike"
        variable = "aws:TagKeys"
        values   = local.tag_keys
      }
    }
  }

  dynamic "statement" {
    for_each = local.any_made

    content {
      sid       = "Ec2Tag"
      actions   = ["ec2:CreateTags"]
      resources = [local.machines]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceTag/foreshadow:host"
        values   = statement.value
      }

      condition {
        test     = "ForAllValues:StringLike"
        variable = "aws:TagKeys"
        values   = local.tag_keys
      }
    }
  }

  dynamic "statement" {
    for_each = local.any_made

    content {
      sid       = "Ec2Keep"
      actions   = ["ec2:StartInstances", "ec2:StopInstances", "ec2:TerminateInstances"]
      resources = [local.machines]

      condition {
        test     = "StringEquals"
        variable = "aws:ResourceTag/foreshadow:host"
        values   = statement.value
      }
    }
  }

  dynamic "statement" {
    for_each = local.any_made

    content {
      sid       = "PassRole"
      actions   = ["iam:PassRole"]
      resources = [for name in statement.value : aws_iam_role.host[name].arn]

      condition {
        test     = "StringEquals"
        variable = "iam:PassedToService"
        values   = ["ec2.amazonaws.com"]
      }
    }
  }
}

locals {
  machines = "arn:${data.aws_partition.this.partition}:ec2:*:*:instance/*"
  tag_keys = ["foreshadow:*", "Name"]
}
