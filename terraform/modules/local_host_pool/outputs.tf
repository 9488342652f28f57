# Made of variables alone: after an apply that failed half way, the hosts of the pool are still known.
output "foreshadow_hosts" {
  description = "The hosts, as the inventory plugin foreshadow.core.terraform_pool reads them."
  value = [
    for name, host in var.hosts : {
      name     = name
      address  = host.address
      port     = var.port
      zone     = host.zone
      capacity = host.capacity
      driver   = "agent"
      labels   = host.labels
      groups   = host.groups
      vars = {
        ansible_connection = "local"
        # The agent runs already: Terraform owns it, and the converge playbook leaves it alone.
        foreshadow_agent_manage = false
      }
    }
  ]
}

output "agent_ids" {
  description = "By host, the id of what started its agent: it changes when that is started anew."
  value       = { for name, agent in terraform_data.agent : name => agent.id }
}
