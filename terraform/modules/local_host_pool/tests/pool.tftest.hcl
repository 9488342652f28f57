# `true` takes any options and does nothing: these runs are about what Terraform does, not about agents.
variables {
  executable = "true"
  folder     = "/tmp/foreshadow-pool"
  pki_dir    = "/tmp/foreshadow-pool/pki"
  hosts = {
    edge-a = { address = "127.0.0.11", zone = "north", capacity = { cpu = 4 }, groups = ["edge"] }
    edge-b = { address = "127.0.0.12", zone = "south" }
  }
}

run "create" {
  assert {
    condition     = [for host in output.foreshadow_hosts : host.name] == ["edge-a", "edge-b"]
    error_message = "the output does not list the hosts"
  }

  assert {
    condition     = output.foreshadow_hosts[0].address == "127.0.0.11" && output.foreshadow_hosts[0].port == 7443
    error_message = "the output does not say where the agent is"
  }

  assert {
    condition     = output.foreshadow_hosts[0].zone == "north" && output.foreshadow_hosts[0].capacity.cpu == 4
    error_message = "the output does not say what the placement should know"
  }

  assert {
    condition     = contains(terraform_data.agent["edge-b"].input, "--listen=127.0.0.12:7443")
    error_message = "the agent does not listen at the address of its host"
  }
}

run "a_zone_is_no_reason_to_start_anything_anew" {
  command = plan

  variables {
    hosts = {
      edge-a = { address = "127.0.0.11", zone = "south", capacity = { cpu = 8 } }
      edge-b = { address = "127.0.0.12", zone = "south" }
    }
  }

  assert {
    condition     = terraform_data.agent["edge-a"].id == run.create.agent_ids["edge-a"]
    error_message = "the agent would be started anew"
  }
}

run "grow" {
  variables {
    hosts = {
      edge-a = { address = "127.0.0.11" }
      edge-b = { address = "127.0.0.12" }
      edge-c = { address = "127.0.0.13" }
    }
  }

  assert {
    condition     = terraform_data.agent["edge-a"].id == run.create.agent_ids["edge-a"]
    error_message = "a host that was there was made anew"
  }

  assert {
    condition     = length(output.foreshadow_hosts) == 3
    error_message = "the new host is not listed"
  }
}

run "an_address_outside_loopback_is_refused" {
  command = plan

  variables {
    hosts = { edge-a = { address = "192.0.2.11" } }
  }

  expect_failures = [var.hosts]
}

run "two_hosts_at_one_address_are_refused" {
  command = plan

  variables {
    hosts = { edge-a = { address = "127.0.0.11" }, edge-b = { address = "127.0.0.11" } }
  }

  expect_failures = [var.hosts]
}

run "relative_folders_are_refused" {
  command = plan

  variables {
    folder  = "state"
    pki_dir = "pki"
  }

  expect_failures = [var.folder, var.pki_dir]
}
