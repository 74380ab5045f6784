"""The broker's REST API as typed calls: one noun a module, `emqx.api.broker.BrokerApi` puts them together."""
