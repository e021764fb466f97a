from __future__ import annotations

from local_cloud import LocalCloud


def test_what_one_client_puts_another_finds(local_cloud: LocalCloud) -> None:
    bucket = local_cloud.unique("bucket")
    writer, reader = local_cloud.client("s3"), local_cloud.client("s3")
    writer.create_bucket(Bucket=bucket)
    writer.put_object(Bucket=bucket, Key="note", Body=b"hello")
    answer = reader.get_object(Bucket=bucket, Key="note")
    with answer["Body"] as body:
        assert body.read() == b"hello"
    writer.close()
    reader.close()
