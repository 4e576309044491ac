// Conversations with users, roles, and rights that are checked.

import fc from 'fast-check'
import type { Step } from './conversation.ts'
import { coordinationStep } from './coordination-requests.ts'
import { type Drawn, draw, fields, flag, key, plainKey, rangeEnd, weighted } from './drawn.ts'
import type { JsonObject } from './frame.ts'
import { keyStep } from './key-requests.ts'
import { maintenanceStep } from './maintenance-requests.ts'
import { IMPOSTOR } from './users.ts'

const ROOT = 'root'
const USERS = ['ann', 'bob']
const ROLES = ['one', 'two']

const name = weighted(
  [2, fc.constant(ROOT)],
  [6, fc.constantFrom(...USERS)],
  [1, fc.constantFrom('', 'nobody')],
)
const user = weighted([6, fc.constantFrom(...USERS)], [1, fc.constantFrom(ROOT, '', 'nobody')])
const role = weighted([6, fc.constantFrom(...ROLES)], [1, fc.constantFrom(ROOT, '', 'nothing')])
const password = fc.constantFrom('secret', 'other')
const as = weighted(
  [4, fc.constant(ROOT)],
  [8, fc.constantFrom(...USERS)],
  [1, fc.constant(IMPOSTOR)],
  [1, fc.constant(undefined)],
)

const permType = fc.nat({ max: 2 })
const perm = fields({ permType, key, rangeEnd }, ['permType', 'key'])
const grantPermission = (of: fc.Arbitrary<string>, permission: Drawn): fc.Arbitrary<Step> =>
  draw('roleGrantPermission', fc.record({ name: of, perm: permission }) as Drawn)
const nothing = fc.constant<JsonObject>({})

const change: fc.Arbitrary<Step> = weighted(
  [
    2,
    draw(
      'userAdd',
      fields({ name: user, password, options: fields({ noPassword: flag }) }, ['name', 'password']),
    ),
  ],
  [3, draw('userGet', fields({ name }, ['name']))],
  [1, draw('userList', nothing)],
  [1, draw('userDelete', fields({ name }, ['name']))],
  [1, draw('userChangePassword', fields({ name, password }, ['name', 'password']))],
  [4, draw('userGrantRole', fields({ user: name, role }, ['user', 'role']))],
  [2, draw('userRevokeRole', fields({ name, role }, ['name', 'role']))],
  [2, draw('roleAdd', fields({ name: role }, ['name']))],
  [3, draw('roleGet', fields({ role }, ['role']))],
  [1, draw('roleList', nothing)],
  [1, draw('roleDelete', fields({ role }, ['role']))],
  [4, grantPermission(role, perm)],
  [2, draw('roleRevokePermission', fields({ role, key, rangeEnd }, ['role', 'key']))],
  [1, draw('authEnable', nothing)],
  [1, draw('authDisable', nothing)],
  [1, draw('authStatus', nothing)],
  [4, draw('authenticate', fields({ name, password }, ['name', 'password']))],
)

const step = (rpc: Step['rpc'], request: JsonObject): Step => ({ rpc, request })
const named = (request: Step, user: string): Step => ({ ...request, as: user })

/** Users with roles, whose rights are checked, and who are logged in. */
const beginning: fc.Arbitrary<readonly Step[]> = fc
  .tuple(
    fc.array(
      grantPermission(
        fc.constantFrom(...ROLES),
        fields({ permType, key: plainKey, rangeEnd }, ['permType', 'key']),
      ),
      { maxLength: 4 },
    ),
    fc.subarray(
      USERS.flatMap((of) => ROLES.map((roleOf) => step('userGrantRole', { user: of, role: roleOf }))),
    ),
    fc.boolean(),
  )
  .map(([permissions, roles, isChecked]) => [
    step('userAdd', { name: ROOT, password: 'secret' }),
    step('userGrantRole', { user: ROOT, role: ROOT }),
    ...ROLES.map((of) => step('roleAdd', { name: of })),
    ...USERS.map((of) => step('userAdd', { name: of, password: 'secret' })),
    ...permissions,
    ...roles,
    ...(isChecked
      ? [
          step('authEnable', {}),
          ...[ROOT, ...USERS].map((of) => step('authenticate', { name: of, password: 'secret' })),
        ]
      : []),
  ])

/** The stream of watches, and the call, of each user. */
const STREAMS: Readonly<Record<string, number>> = { ann: 0, bob: 1, [ROOT]: 2 }

/** A request in somebody's name: a stream has the name of who has opened it. */
const signed = (request: fc.Arbitrary<Step>): fc.Arbitrary<Step> =>
  fc.tuple(request, as).map(([each, by]) => {
    if (by === undefined) return each
    const signedStep = named(each, by)
    return each.rpc === 'watch' ? { ...signedStep, stream: STREAMS[by] ?? 3 } : signedStep
  })

export const authConversation = (steps: number): fc.Arbitrary<readonly Step[]> =>
  fc
    .tuple(
      beginning,
      fc.array(
        weighted(
          [4, signed(change)],
          [8, signed(keyStep)],
          [1, signed(coordinationStep)],
          [1, signed(maintenanceStep)],
        ),
        { minLength: 1, maxLength: steps, size: 'max' },
      ),
    )
    .map(([first, others]) => [...first, ...others])
