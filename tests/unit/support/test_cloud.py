"""The cloud that tests run against."""

from __future__ import annotations

import boto3

from tests.support.aws.server import running_cloud


def test_each_cloud_begins_empty() -> None:
    for _ in range(2):
        with running_cloud():
            client = boto3.client("ec2")
            client.create_launch_template(
                LaunchTemplateName="edge", LaunchTemplateData={"InstanceType": "t3.small"}
            )
            assert len(client.describe_launch_templates()["LaunchTemplates"]) == 1
