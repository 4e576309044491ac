// Requests for members, and for the upkeep of the store.

import fc from 'fast-check'
import type { Step } from './conversation.ts'
import { draw, fields, flag, revision, weighted } from './drawn.ts'
import { SELF } from './frame.ts'

const memberId = fc.constantFrom<number | string>(0, 4, SELF)
const nothing = fc.constant({})
/** No member has it. */
const unknownMember = fc.constant({ id: 4 })
const urls = fc.constantFrom([], ['x'], ['http://127.0.0.1'], ['http://127.0.0.1:1/path'])

export const maintenanceStep: fc.Arbitrary<Step> = weighted(
  [4, draw('status', nothing)],
  [4, draw('hashKv', fields({ revision }))],
  [2, draw('hash', nothing)],
  [2, draw('defragment', nothing)],
  [1, draw('snapshot', nothing)],
  [2, draw('alarm', fields({ action: fc.constantFrom(0, 2), memberId, alarm: fc.nat({ max: 2 }) }))],
  // The alarm of no member, or of no kind, ends etcd.
  [
    1,
    draw(
      'alarm',
      fc.record({ action: fc.constant(1), memberId: fc.constantFrom(4, SELF), alarm: fc.constant(1) }),
    ),
  ],
  [1, draw('moveLeader', fields({ targetId: memberId }))],
  [1, draw('downgrade', nothing)],
  [2, draw('memberList', fields({ linearizable: flag }))],
  [
    1,
    draw(
      'memberAdd',
      fc.record({ peerUrls: fc.constantFrom([], ['x'], ['http://127.0.0.1']), isLearner: fc.boolean() }),
    ),
  ],
  [1, draw('memberUpdate', fc.record({ id: fc.constant(4), peerUrls: urls }))],
  [1, draw('memberRemove', unknownMember)],
  [1, draw('memberPromote', unknownMember)],
  [1, draw('healthCheck', fields({ service: fc.constantFrom('', 'KV') }))],
  [1, draw('healthWatch', fields({ service: fc.constantFrom('', 'KV') }))],
)
