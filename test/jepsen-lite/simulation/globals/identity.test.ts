// Names of a simulated process.

import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { VirtualHost, virtualHost } from './virtual-host.ts'

test('a process has a pid of its own, and its machine has the name of the process', () => {
  const real = [process.pid, process.ppid, hostname()]
  const [host, other] = [virtualHost(), new VirtualHost(1, 'mail/2')]
  const names = () => [process.pid, process.ppid, hostname()]
  expect(host.run(names)).toEqual([1000, 1, 'worker'])
  expect(other.run(names)).toEqual([1001, 1, 'mail/2'])
  expect(host.run(names)).toEqual([1000, 1, 'worker'])
  expect(names()).toEqual(real)
})
