// A change that undoes an earlier one is made although its user has lost the right, and however often rights change
// before it is applied.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { KvTxn } from '../../../src/operations/index.ts'
import { undoPut } from '../../../src/server/api/undo.ts'
import { runs } from '../../runs.ts'
import { nodeWithUsers, permit } from '../auth/users.ts'

const KEY = Buffer.from('app/made')
const REMOVAL: KvTxn = {
  compare: [{ where: { key: KEY }, target: 'version', op: '=', to: 1 }],
  success: [{ kind: 'delete', where: { key: KEY }, prev: false }],
  failure: [],
}

test('a key that a user has made is removed in his name, whenever rights change', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 8 }), async (changes) => {
      const node = nodeWithUsers()
      node.put(KEY, 'value')
      permit(node)
      const left = [...changes]
      node.hold = (release) => {
        if (left.shift()) permit(node)
        release()
      }
      const call = { deadline: performance.now() + 10_000, principal: { user: 'bob', epoch: undefined } }
      await undoPut(node, { kind: 'txn', txn: REMOVAL }, call)
      expect(node.keys).toBe(0)
      expect(node.openReads).toBe(0)
    }),
    { numRuns: runs(200) },
  )
})
