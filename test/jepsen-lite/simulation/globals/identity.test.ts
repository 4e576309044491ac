// Names of a simulated process.

import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { VirtualHost, virtualHost } from './virtual-host.ts'

test('a process has names that are the same on every machine', () => {
  const real = [process.pid, process.ppid, hostname()]
  const host = virtualHost()
  const names = () => [process.pid, process.ppid, hostname()]
  expect(host.run(names)).toEqual([1000, 1, 'simulation'])
  expect(new VirtualHost().run(names)).toEqual([1001, 1, 'simulation'])
  expect(host.run(names)).toEqual([1000, 1, 'simulation'])
  expect(names()).toEqual(real)
})
