mock_provider "aws" {
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/shop/0123456789abcdef" }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/0123456789abcdef" }
  }

  override_resource {
    target = aws_lb_target_group.host["edge-a"]
    values = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/000000000000000a" }
  }

  override_resource {
    target = aws_lb_target_group.host["edge-b"]
    values = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/shop/000000000000000b" }
  }

  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/shop/0123456789abcdef/0123456789abcdef" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  override_data {
    target = data.aws_iam_policy_document.controller
    values = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  mock_data "aws_route53_zone" {
    defaults = { zone_id = "Z0123456789ABC" }
  }
}

variables {
  name                    = "shop"
  vpc_id                  = "vpc-1"
  subnet_ids              = ["subnet-a", "subnet-b"]
  primary                 = "edge-a"
  port                    = 8080
  client_cidrs            = ["10.0.0.0/16"]
  host_security_group_ids = ["sg-hosts", "sg-more"]
  direct_cidrs            = ["10.0.0.0/16", "2001:db8::/32"]
  record                  = { zone = "example.com", name = "shop.example.com" }
  targets = {
    edge-a = { address = "10.0.1.11" }
    edge-b = { address = "10.0.2.12" }
  }
}

run "the_primary_has_all_traffic_at_first" {
  assert {
    condition     = { for host, record in aws_route53_record.host : host => record.weighted_routing_policy[0].weight } == { edge-a = 100, edge-b = 0 }
    error_message = "the records do not point at the primary alone"
  }

  assert {
    condition = {
      for group in aws_lb_listener.this.default_action[0].forward[0].target_group : group.arn => group.weight
    } == { (output.target_group_arns["edge-a"]) = 100, (output.target_group_arns["edge-b"]) = 0 }
    error_message = "the listener does not send all traffic to the primary"
  }

  assert {
    condition     = aws_lb_listener.this.protocol == "HTTP" && aws_lb_listener.this.port == 80
    error_message = "a listener without a certificate is not plain HTTP"
  }

  assert {
    condition     = length(aws_route53_zone.this) == 0
    error_message = "a zone would be made that is there"
  }
}

run "whom_the_records_lead_to_the_hosts_is_let_in_there" {
  assert {
    condition = toset([
      for rule in aws_vpc_security_group_ingress_rule.direct :
      "${rule.security_group_id} ${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4 != null ? rule.cidr_ipv4 : rule.cidr_ipv6}"
      ]) == toset([
      "sg-hosts 8080-8080 10.0.0.0/16", "sg-hosts 8080-8080 2001:db8::/32",
      "sg-more 8080-8080 10.0.0.0/16", "sg-more 8080-8080 2001:db8::/32",
    ])
    error_message = "a client that follows the records, or the controller, does not reach the service"
  }
}

run "records_that_lead_where_nobody_is_let_in_are_refused" {
  command = plan

  variables {
    direct_cidrs = []
  }

  expect_failures = [var.direct_cidrs]
}

run "a_controller_changes_these_records_alone" {
  variables {
    record = { zone = "Example.com", name = "Shop.Example.com" }
  }

  assert {
    condition = [
      for one in data.aws_iam_policy_document.controller.statement : one.condition
      if contains(one.actions, "route53:ChangeResourceRecordSets")
      ] == [toset([{
        test     = "ForAllValues:StringEquals"
        variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
        values   = tolist(["shop.example.com", "_foreshadow.shop.example.com"])
    }])]
    error_message = "a controller may change other records of the zone"
  }
}

run "the_directors_are_told_as_a_resource_names_them" {
  assert {
    condition     = [for director in output.foreshadow_directors : director.kind] == ["elbv2", "route53"]
    error_message = "a director is missing"
  }

  assert {
    condition     = output.foreshadow_directors[0].listener == aws_lb_listener.this.arn && keys(output.foreshadow_directors[0].targets) == ["edge-a", "edge-b"]
    error_message = "the load balancer's director does not learn its listener and its target groups"
  }

  assert {
    condition     = output.foreshadow_directors[1].zone == "Z0123456789ABC" && output.foreshadow_directors[1].record == "shop.example.com"
    error_message = "the records' director does not learn its zone and its name"
  }
}

run "a_certificate_makes_it_https" {
  command = plan

  variables {
    listener = { certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0" }
  }

  assert {
    condition     = aws_lb_listener.this.protocol == "HTTPS" && aws_lb_listener.this.port == 443
    error_message = "the listener does not use the certificate"
  }
}

run "records_are_left_out" {
  command = plan

  variables {
    record       = null
    direct_cidrs = []
  }

  assert {
    condition     = length(aws_route53_record.host) == 0 && output.zone_id == null
    error_message = "records were made that nobody asked for"
  }
}

run "one_target_is_no_choice" {
  command = plan

  variables {
    targets = { edge-a = { address = "10.0.1.11" } }
  }

  expect_failures = [var.targets]
}

run "six_targets_are_more_than_a_forward_takes" {
  command = plan

  variables {
    targets = { for i in range(6) : "edge-${i}" => { address = "10.0.1.${i + 10}" } }
    primary = "edge-0"
  }

  expect_failures = [var.targets]
}

run "the_primary_must_be_a_target" {
  command = plan

  variables {
    primary = "edge-z"
  }

  expect_failures = [var.primary]
}

run "a_record_outside_its_zone_is_refused" {
  command = plan

  variables {
    record = { zone = "example.com", name = "shop.example.org" }
  }

  expect_failures = [var.record]
}
