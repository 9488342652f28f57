locals {
  tags          = merge(var.tags, { "foreshadow-resource" = var.name })
  https         = var.listener.certificate_arn != null
  listener_port = coalesce(var.listener.port, local.https ? 443 : 80)
  targets       = { for host in sort(keys(var.targets)) : host => var.targets[host].address }
  # Where all begins; from then on the switch owns the weights.
  weights = { for host in keys(local.targets) : host => host == var.primary ? 100 : 0 }
}

data "aws_partition" "this" {}

# --- Who reaches what ------------------------------------------------------------------------------------------------------

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-lb-"
  description = "Load balancer of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = local.tags

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "clients"
  ip_protocol       = "tcp"
  from_port         = local.listener_port
  to_port           = local.listener_port
  cidr_ipv4         = strcontains(each.value, ":") ? null : each.value
  cidr_ipv6         = strcontains(each.value, ":") ? each.value : null
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "targets" {
  for_each = local.targets

  security_group_id = aws_security_group.this.id
  description       = "the service on ${each.key}"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
  cidr_ipv4         = "${each.value}/32"
  tags              = merge(local.tags, { "foreshadow-host" = each.key })
}

resource "aws_vpc_security_group_ingress_rule" "service" {
  # A group that is made in the same run has no id yet, but a place in the list.
  count = length(var.host_security_group_ids)

  security_group_id            = var.host_security_group_ids[count.index]
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  referenced_security_group_id = aws_security_group.this.id
  tags                         = local.tags
}

# Who comes past the load balancer: clients that follow the records, and the controller that checks a host before they lead there.
resource "aws_vpc_security_group_ingress_rule" "direct" {
  for_each = {
    for place in setproduct(range(length(var.host_security_group_ids)), var.direct_cidrs) : "${place[0]} ${place[1]}" => {
      group = var.host_security_group_ids[place[0]]
      cidr  = place[1]
    }
  }

  security_group_id = each.value.group
  description       = "the service of ${var.name}"
  ip_protocol       = "tcp"
  from_port         = var.port
  to_port           = var.port
  cidr_ipv4         = strcontains(each.value.cidr, ":") ? null : each.value.cidr
  cidr_ipv6         = strcontains(each.value.cidr, ":") ? each.value.cidr : null
  tags              = local.tags
}

# --- The load balancer: a target group for each host, all in one weighted forward ------------------------------------------
# Who is registered in a target group is the switch's too, so nothing here attaches a target.

resource "aws_lb" "this" {
  name_prefix                = "${substr(var.name, 0, 5)}-"
  load_balancer_type         = "application"
  internal                   = var.internal
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.this.id]
  drop_invalid_header_fields = true
  tags                       = local.tags
}

resource "aws_lb_target_group" "host" {
  for_each = local.targets

  name                 = "${var.name}-${substr(sha1(each.key), 0, 8)}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.port
  deregistration_delay = var.deregistration_delay
  tags                 = merge(local.tags, { "foreshadow-host" = each.key })

  health_check {
    path                = var.health.path
    interval            = var.health.interval
    timeout             = var.health.timeout
    healthy_threshold   = var.health.healthy
    unhealthy_threshold = var.health.failing
  }

  # A switch moves every client; one that sticks to its host would stay behind.
  stickiness {
    type    = "lb_cookie"
    enabled = false
  }
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  port              = local.listener_port
  protocol          = local.https ? "HTTPS" : "HTTP"
  certificate_arn   = var.listener.certificate_arn
  ssl_policy        = local.https ? var.listener.ssl_policy : null
  tags              = local.tags

  default_action {
    type = "forward"

    forward {
      dynamic "target_group" {
        for_each = local.targets

        content {
          arn    = aws_lb_target_group.host[target_group.key].arn
          weight = local.weights[target_group.key]
        }
      }
    }
  }

  lifecycle {
    # The switch owns the weights, and keeps in a tag who may change them.
    ignore_changes = [default_action[0].forward[0].target_group, tags, tags_all]
  }
}

# --- Weighted records ------------------------------------------------------------------------------------------------------

resource "aws_route53_zone" "this" {
  count = try(var.record.create_zone, false) ? 1 : 0

  name          = var.record.zone
  force_destroy = var.record.force_destroy
  tags          = local.tags

  dynamic "vpc" {
    for_each = var.record.private ? [var.vpc_id] : []

    content {
      vpc_id = vpc.value
    }
  }
}

data "aws_route53_zone" "this" {
  count = var.record == null || try(var.record.create_zone, false) ? 0 : 1

  name         = var.record.zone
  private_zone = var.record.private
}

locals {
  zone_id = one(concat(aws_route53_zone.this[*].zone_id, data.aws_route53_zone.this[*].zone_id))
}

resource "aws_route53_record" "host" {
  for_each = var.record == null ? {} : local.targets

  zone_id        = local.zone_id
  name           = var.record.name
  type           = "A"
  ttl            = var.record.ttl
  records        = [each.value]
  set_identifier = each.key

  weighted_routing_policy {
    weight = local.weights[each.key]
  }

  lifecycle {
    # The switch owns the weights.
    ignore_changes = [weighted_routing_policy[0].weight]
  }
}

# --- What a controller needs: these weights and targets, and no others -----------------------------------------------------

data "aws_iam_policy_document" "controller" {
  statement {
    sid = "Elbv2Read"
    actions = [
      "elasticloadbalancing:DescribeListeners",
      "elasticloadbalancing:DescribeTags",
      "elasticloadbalancing:DescribeTargetGroups",
      "elasticloadbalancing:DescribeTargetHealth",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "Elbv2Weights"
    actions   = ["elasticloadbalancing:AddTags", "elasticloadbalancing:ModifyListener"]
    resources = [aws_lb_listener.this.arn]
  }

  statement {
    sid       = "Elbv2Targets"
    actions   = ["elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:RegisterTargets"]
    resources = [for group in aws_lb_target_group.host : group.arn]
  }

  dynamic "statement" {
    for_each = var.record == null ? [] : [local.zone_id]

    content {
      sid       = "Route53Read"
      actions   = ["route53:ListResourceRecordSets"]
      resources = ["arn:${data.aws_partition.this.partition}:route53:::hostedzone/${statement.value}"]
    }
  }

  dynamic "statement" {
    for_each = var.record == null ? [] : [local.zone_id]

    content {
      sid       = "Route53Weights"
      actions   = ["route53:ChangeResourceRecordSets"]
      resources = ["arn:${data.aws_partition.this.partition}:route53:::hostedzone/${statement.value}"]

      # The records, and the one beside them in which the switch keeps who may change them.
      condition {
        test     = "ForAllValues:StringEquals"
        variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        values   = [lower(var.record.name), "_foreshadow.${lower(var.record.name)}"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.record == null ? [] : [local.zone_id]

    content {
      sid       = "Route53Follow"
      actions   = ["route53:GetChange"]
      resources = ["arn:${data.aws_partition.this.partition}:route53:::change/*"]
    }
  }

  statement {
    sid       = "CloudWatch"
    actions   = ["cloudwatch:GetMetricData"]
    resources = ["*"]
  }
}
