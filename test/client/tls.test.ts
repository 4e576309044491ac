// Options of TLS for the connections of a client.

import { expect, test } from 'vitest'
import { secureOptions } from '../../src/client/tls.ts'

test.each([
  ['n1.example.org', 'n1.example.org'],
  ['10.0.0.1', undefined],
  ['2001:db8::1', undefined],
  ['[2001:db8::1]', undefined],
])('the server name of a connection to %s is %s: an address is none', (host, servername) => {
  expect(secureOptions({}, host).servername).toBe(servername)
})
