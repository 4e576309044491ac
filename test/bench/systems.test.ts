import { join } from 'node:path'
import { expect, test } from 'vitest'
import { SYSTEMS } from '../../bench/clusters/systems.ts'
import { GO_MODULE } from '../../bench/load/go-generator.ts'
import { SCENARIOS } from '../../bench/scenarios/index.ts'
import { pinnedVersion } from '../etcd/go-programs.ts'

test.each(SYSTEMS)('$name leaves out scenarios that there are', ({ without }) => {
  const names = SCENARIOS.map(({ name }) => name)
  expect(Object.keys(without).filter((name) => !names.includes(name))).toEqual([])
  expect(names.filter((name) => without[name] === undefined)).toEqual(
    expect.arrayContaining(['put-64', 'creates', 'updates', 'get-stale', 'fail-over', 'memory']),
  )
})

test("the generator's client of etcd has the version of the server", async () => {
  const client = ['go.etcd.io/etcd/client/v3']
  const programs = join(import.meta.dirname, '../etcd/programs')
  expect(await pinnedVersion(GO_MODULE, client)).toBe(await pinnedVersion(programs, client))
})
