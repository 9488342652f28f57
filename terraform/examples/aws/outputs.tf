output "foreshadow_hosts" {
  description = "The hosts, for the inventory plugin foreshadow.core.terraform_pool."
  value       = module.pool.foreshadow_hosts
}

output "shop" {
  description = "What the inventory needs to know of the service: its directors, and its load balancer as CloudWatch names it."
  value = {
    shop_directors     = module.director.foreshadow_directors
    shop_load_balancer = module.director.load_balancer
  }
}

output "primary_target_group" {
  description = "ARN of the target group of the primary, to register it the first time."
  value       = module.director.target_group_arns[var.primary]
}

output "controller_policies" {
  description = "IAM policies for the controller."
  value       = [module.pool.controller_policy, module.director.controller_policy]
}
