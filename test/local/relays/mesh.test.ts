import { expect, test } from 'vitest'
import { completeGroups } from '../../../src/local/relays/mesh.ts'

const names = ['n1', 'n2', 'n3']

test.each([
  [
    [['n1'], ['n2', 'n3']],
    [['n1'], ['n2', 'n3']],
  ],
  [[['n1']], [['n1'], ['n2', 'n3']]],
  [
    [['n1'], ['n3']],
    [['n1'], ['n3'], ['n2']],
  ],
  [
    [['n1'], [], ['n2'], ['n3']],
    [['n1'], ['n2'], ['n3']],
  ],
])('%j: nodes that no group names form one more', (groups, complete) => {
  expect(completeGroups(names, groups)).toEqual(complete)
})

test.each([
  [[['n1'], ['n9']], 'n9'],
  [[['n1', 'n2'], ['n2']], 'n2'],
  [[['n1', 'n2', 'n3']], 'every node'],
  [[], 'every node'],
])('%j is refused', (groups, why) => {
  expect(completeGroups(names, groups)).toContain(why)
})
