"""Django Channels, served by Daphne, with the origin check of its documentation."""

import sys

from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=[sys.argv[2]],
    INSTALLED_APPS=["channels"],
    SECRET_KEY="for this run only",
)

from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server
from django.urls import path


class Say(WebsocketConsumer):
    def receive(self, text_data):
        self.send(text_data=text_data.upper())


routes = URLRouter([path("ws/", Say.as_asgi())])
application = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(routes)})
endpoints = build_endpoint_description_strings(host="127.0.0.1", port=int(sys.argv[1]))
Server(application, endpoints=endpoints).run()
