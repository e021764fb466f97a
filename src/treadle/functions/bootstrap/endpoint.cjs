// Loaded before every Node.js function: keeps the AWS SDKs at the endpoint that AWS_ENDPOINT_URL names.
//
// Version 2 of the SDK does not know the variable and would call AWS itself. Version 3 puts prefixes in front of the
// host (`sync-localhost`, `bucket.localhost`) that no name server knows.
'use strict';

const dns = require('node:dns');
const Module = require('node:module');
const net = require('node:net');

const endpoint = process.env.AWS_ENDPOINT_URL;

if (endpoint) {
  const host = new URL(endpoint).hostname;
  resolvePrefixesTo(host);
  moveVersion2To(endpoint);
}

function resolvePrefixesTo(host) {
  const lookup = dns.lookup;
  dns.lookup = function (name, options, callback) {
    const prefixed = typeof name === 'string' && (name.endsWith(`-${host}`) || name.endsWith(`.${host}`));
    if (!prefixed || !(net.isIP(host) || host === 'localhost')) return lookup.apply(dns, arguments);
    return lookup.call(dns, host, options, callback);
  };
}

function moveVersion2To(address) {
  const load = Module._load;
  Module._load = function (request) {
    const loaded = load.apply(this, arguments);
    if (request === 'aws-sdk' && loaded?.config?.update) {
      Module._load = load;
      loaded.config.update({ endpoint: address, s3ForcePathStyle: true });
    }
    return loaded;
  };
}
