locals {
  # The options of each agent, one word each: no shell ever reads them.
  agents = {
    for name, host in var.hosts : name => [
      var.executable,
      "agent",
      "--host=${name}",
      "--listen=${host.address}:${var.port}",
      "--state-dir=${var.folder}/${name}/state",
      "--ca=${var.pki_dir}/ca.pem",
      "--cert=${var.pki_dir}/agent-${name}.pem",
      "--key=${var.pki_dir}/agent-${name}.key",
      "--shared-machine",
    ]
  }
}

resource "terraform_data" "authority" {
  input = [var.executable, "pki", "init"]

  provisioner "local-exec" {
    interpreter = self.input
    command     = var.pki_dir
  }
}

# A host ends here, with its agent and every instance on it. It has nothing to do when it is created, so that it can
# never be tainted: Terraform runs no destroy provisioner of a tainted resource, and its agent would be left behind.
resource "terraform_data" "host" {
  for_each = local.agents

  input = each.value

  provisioner "local-exec" {
    when        = destroy
    interpreter = self.input
    command     = "--stop"
  }
}

# What starts the agent. Replacing it is no end of anything: an agent that runs as asked is left alone, one that runs
# with other options makes way for its successor, one that died is started, and instances live on in each case.
resource "terraform_data" "agent" {
  for_each = local.agents

  input            = each.value
  triggers_replace = each.value

  provisioner "local-exec" {
    interpreter = [var.executable, "pki", "issue", var.pki_dir, "--kind=agent", "--name=${each.key}"]
    command     = "--address=${var.hosts[each.key].address}"
  }

  # Returns when this very process listens; a stranger at the port is an error that names it.
  provisioner "local-exec" {
    interpreter = self.input
    command     = "--background"
  }

  depends_on = [terraform_data.authority, terraform_data.host]
}
