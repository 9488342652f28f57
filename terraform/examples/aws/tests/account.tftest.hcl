# Makes it all where the environment says AWS is, and takes it away again: `make test-long-terraform_modules` gives it a server on
# this machine. In an account of yours it costs what it costs.

variables {
  client_cidrs     = ["0.0.0.0/0"]
  controller_cidrs = ["10.30.0.0/16"]
  package          = "ansible-foreshadow==1.0.0"
}

run "hosts_and_directors_are_made" {
  assert {
    condition     = [for host in output.foreshadow_hosts : "${host.name} ${host.address} ${host.driver}"] == ["edge-a 10.20.1.11 agent", "edge-b 10.20.2.12 ec2"]
    error_message = "the hosts are not those that were asked for"
  }

  assert {
    condition     = length(distinct([for host in output.foreshadow_hosts : host.zone])) == 2
    error_message = "the hosts are in one zone"
  }

  assert {
    condition     = output.shop.shop_directors[0].targets["edge-a"] != output.shop.shop_directors[0].targets["edge-b"]
    error_message = "hosts share a target group"
  }

  assert {
    condition     = [for policy in output.controller_policies : jsondecode(policy).Version] == ["2012-10-17", "2012-10-17"]
    error_message = "a policy is none"
  }
}
