import pika

connection = pika.BlockingConnection(pika.URLParameters("amqp://mq"))


def load(item: str) -> object:
    channel = connection.channel()  # expect: US105 loop
    return channel.queue_purge(item)  # expect: US105 loop
