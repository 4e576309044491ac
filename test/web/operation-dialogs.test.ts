// Every dialog of the page of operation, and each outcome of its change: made, refused, or not known. The second try
// after each of them is a try of its own.

import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/index.ts'
import { prefixRange } from '../../src/operations/forms/places.ts'
import { answer, problem, type SentRequest, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'
import { type Screen, show } from './tiny-document.ts'

const node = stubPage()
let view: {
  readonly newest: { value: object | undefined }
  readonly members: { value: readonly object[] }
}
beforeAll(async () => {
  view = await load<typeof view>('cluster/cluster-view.ts')
})
/** Settings of the store. */
let settings: Record<string, unknown>
let screen: Screen
beforeEach(() => {
  vi.useFakeTimers()
  settings = { range_keys_max: 1_000, leases: { on: false, duration_ms: 500 } }
  view.newest.value = { name: 'n1', revision: 50, members: [] }
  view.members.value = MEMBERS
})
afterEach(async () => {
  await screen.leave()
  view.newest.value = undefined
  view.members.value = []
  vi.useRealTimers()
})

const READ = { access: 'read', range: prefixRange(encodeUtf8('app/')) }
const AUTH = {
  ...{ enabled: false, revision: 7, refusal: undefined },
  users: [
    { name: 'ann', roles: ['shop'], hasPassword: true },
    { name: 'root', roles: ['root'], hasPassword: true },
  ],
  roles: [{ name: 'shop', permissions: [READ, { ...READ, access: 'write' }] }],
}
const ANN = AUTH.users[0]
const MEMBERS = ['n1', 'n2', 'n3'].map((name) => ({
  ...{ name, url: `http://${name}`, replicaId: name.slice(1), isLearner: false, error: undefined },
  ...{ status: { role: name === 'n1' ? 'leader' : 'follower', term: 4 }, metrics: undefined },
}))
const CLUSTER = { cluster_id: '7', leader: 'n1', term: 4, joint: false, members: [] }
const FIELD = (name: string, value: number, rule: object = { minimum: 1, maximum: 9_999 }) => ({
  field: { name, value, unit: 'count', rule: { description: 'd', ...rule } },
  value,
})

interface Dialog {
  readonly name: string
  readonly module: string
  readonly component: string
  readonly props: object
  /** Acts of the user before the last button. */
  readonly act?: (screen: Screen) => Promise<void>
  readonly method: string
  readonly path: RegExp
  /** The change in the body. */
  readonly body?: object
  /** Applies the change, and answers it. */
  readonly respond: () => object
  /** The sentence about it. */
  readonly done: string
  /** The change has a token, which it keeps after an unknown outcome. */
  readonly hasToken?: true
}

const USERS = 'pages/operation/user-dialogs.tsx'
const ROLES = 'pages/operation/role-dialogs.tsx'
const SETTING = 'pages/operation/setting-change.tsx'

const DIALOGS: readonly Dialog[] = [
  {
    ...{ name: 'change a setting', module: SETTING, component: 'SettingChange' },
    props: FIELD('range_keys_max', 1_000),
    act: (screen) => screen.fill('Value', '5,000'),
    ...{ method: 'POST', path: /\/v1\/cluster\/settings/, body: { range_keys_max: 5_000 }, hasToken: true },
    respond: () => {
      settings = { ...settings, range_keys_max: 5_000 }
      return settings
    },
    done: 'range_keys_max is 5,000 now.',
  },
  {
    ...{ name: 'change the duration of leader leases', module: SETTING, component: 'SettingChange' },
    props: FIELD('leases.duration_ms', 500),
    act: (screen) => screen.fill('Value', '700'),
    ...{ method: 'POST', path: /\/v1\/cluster\/settings/, body: { leases: { duration_ms: 700 } } },
    respond: () => {
      settings = { ...settings, leases: { on: false, duration_ms: 700 } }
      return settings
    },
    done: 'leases.duration_ms is 700 now.',
  },
  {
    ...{
      name: 'turn leader leases on',
      module: SETTING,
      component: 'LeaderLeaseSwitch',
      props: { isOn: false },
    },
    act: (screen) => screen.fill('Type leases to confirm', 'leases'),
    ...{ method: 'POST', path: /\/v1\/cluster\/settings/, body: { leases: { on: true } } },
    ...{ respond: () => settings, done: 'Leader leases are on now.' },
  },
  {
    ...{
      name: 'turn leader leases off',
      module: SETTING,
      component: 'LeaderLeaseSwitch',
      props: { isOn: true },
    },
    ...{ method: 'POST', path: /\/v1\/cluster\/settings/, body: { leases: { on: false } } },
    ...{ respond: () => settings, done: 'Leader leases are off now.' },
  },
  {
    ...{ name: 'add a user', module: USERS, component: 'UserCreation', props: { auth: AUTH } },
    act: async (screen) => {
      await screen.fill('Name', 'bob')
      await screen.fill('Password', 'correct horse')
    },
    ...{ method: 'PUT', path: /\/v1\/auth\/users\/bob$/, body: { password: 'correct horse', roles: [] } },
    ...{ respond: () => ({ name: 'bob', roles: [], has_password: true }), done: 'bob is a user now.' },
  },
  {
    ...{ name: 'change roles', module: USERS, component: 'UserRoles', props: { auth: AUTH, user: ANN } },
    ...{ method: 'PUT', path: /\/v1\/auth\/users\/ann$/, body: { roles: ['shop'] } },
    respond: () => ({ name: 'ann', roles: ['shop'], has_password: true }),
    done: 'ann has the roles shop now.',
  },
  {
    ...{
      name: 'change a password',
      module: USERS,
      component: 'PasswordChange',
      props: { auth: AUTH, user: ANN },
    },
    act: (screen) => screen.fill('New password', 'battery staple'),
    ...{ method: 'PUT', path: /\/v1\/auth\/users\/ann$/, body: { password: 'battery staple' } },
    respond: () => ({ name: 'ann', roles: ['shop'], has_password: true }),
    done: 'ann has a new password.',
  },
  {
    ...{ name: 'delete a user', module: USERS, component: 'UserDeletion', props: { auth: AUTH, user: ANN } },
    act: (screen) => screen.fill('Type ann to confirm', 'ann'),
    ...{ method: 'DELETE', path: /\/v1\/auth\/users\/ann$/ },
    ...{ respond: () => ({ enabled: false, revision: 8 }), done: 'ann is no user any more.' },
  },
  {
    ...{ name: 'add a role', module: ROLES, component: 'RoleCreation', props: { auth: AUTH } },
    act: (screen) => screen.fill('Name', 'stock'),
    ...{ method: 'PUT', path: /\/v1\/auth\/roles\/stock$/, body: { permissions: [] } },
    respond: () => ({ name: 'stock', permissions: [] }),
    done: 'The role stock is there now, and may do nothing yet. Grant it something.',
  },
  {
    ...{
      name: 'grant a right',
      module: ROLES,
      component: 'GrantAddition',
      props: { auth: AUTH, name: 'shop' },
    },
    act: (screen) => screen.fill('Beginning', 'tmp/'),
    ...{ method: 'PUT', path: /\/v1\/auth\/roles\/shop$/ },
    body: {
      permissions: [
        { access: 'read', prefix: 'app/' },
        { access: 'write', prefix: 'app/' },
        { access: 'read', prefix: 'tmp/' },
      ],
    },
    respond: () => ({ name: 'shop', permissions: [] }),
    done: 'The role shop may read keys that begin with tmp/ now.',
  },
  {
    ...{ name: 'take a right away', module: ROLES, component: 'GrantRemoval' },
    props: { auth: AUTH, name: 'shop', permission: { ...READ, access: 'write' } },
    ...{ method: 'PUT', path: /\/v1\/auth\/roles\/shop$/ },
    body: { permissions: [{ access: 'read', prefix: 'app/' }] },
    respond: () => ({ name: 'shop', permissions: [] }),
    done: 'Taken away from the role shop: may write keys that begin with app/.',
  },
  {
    ...{
      name: 'delete a role',
      module: ROLES,
      component: 'RoleDeletion',
      props: { auth: AUTH, name: 'shop' },
    },
    act: (screen) => screen.fill('Type shop to confirm', 'shop'),
    ...{ method: 'DELETE', path: /\/v1\/auth\/roles\/shop$/ },
    ...{ respond: () => ({ enabled: false, revision: 8 }), done: 'The role shop is gone.' },
  },
  {
    ...{ name: 'check rights', module: 'pages/operation/auth-switch.tsx', component: 'AuthSwitch' },
    props: { auth: AUTH },
    act: (screen) => screen.fill('Type enable to confirm', 'enable'),
    ...{ method: 'POST', path: /\/v1\/auth\/enable$/ },
    ...{ respond: () => ({ enabled: true, revision: 8 }), done: 'Rights are checked from now on.' },
  },
  {
    ...{ name: 'remove a member', module: 'pages/operation/member-removal.tsx', component: 'MemberRemoval' },
    props: { member: MEMBERS[1] },
    act: (screen) => screen.fill('Type n2 to confirm', 'n2'),
    ...{ method: 'DELETE', path: /\/v1\/cluster\/members\/n2$/ },
    ...{ respond: () => CLUSTER, done: 'n2 is no longer a member. Its node ends.' },
  },
  {
    ...{ name: 'transfer leadership', module: 'pages/operation/leadership-transfer.tsx' },
    ...{ component: 'LeadershipTransfer', props: { to: 'n2' } },
    ...{ method: 'POST', path: /\/v1\/cluster\/leader$/, body: { to: 'n2' } },
    ...{ respond: () => ({ leader: 'n2' }), done: 'n2 leads now.' },
  },
  ...(['MemberAddition', 'MemberReplacement'] as const).map((component): Dialog => {
    const isAddition = component === 'MemberAddition'
    return {
      ...{ name: `${component} by hand`, component, props: { member: MEMBERS[1] } },
      module: `pages/operation/member-${isAddition ? 'addition' : 'replacement'}.tsx`,
      act: async (screen) => {
        await screen.click('The node runs already: by hand')
        await screen.fill('Name', 'n4')
        await screen.fill('Replica id', '9')
        await screen.fill('Address for other nodes', '10.0.0.4:7401')
        await screen.fill('URL for clients', 'http://10.0.0.4:7301')
        if (!isAddition) await screen.fill('Type n2 to confirm', 'n2')
      },
      ...{ method: 'POST', path: isAddition ? /\/v1\/cluster\/members$/ : /\/members\/n2\/replace$/ },
      body: { name: 'n4', replica_id: '9', peer: '10.0.0.4:7401', url: 'http://10.0.0.4:7301' },
      respond: () => CLUSTER,
      done: isAddition
        ? 'n4 is a member now: a learner until it has caught up, then a voter.'
        : 'n2 is gone, and the replica 9 has come in its place.',
    }
  }),
]

/** Endings of a first try, and what the dialog says of the change. */
const ENDINGS = {
  refused: { respond: () => problem('permission_denied', 403), says: /Nothing was changed/ },
  leaderless: { respond: () => problem('no_leader', 503), says: /Nothing was changed/ },
  lost: { respond: (): Response => fail(), says: /not known whether the change was made/ },
  unknown: { respond: () => problem('outcome_unknown', 504), says: /not known whether the change was made/ },
} as const
function fail(): never {
  throw new TypeError('the connection broke')
}

describe.each(DIALOGS)(
  '$name',
  ({ module, component, props, act, method, path, body, respond, done, hasToken }) => {
    let said: string[]
    let closed: number
    let sent: SentRequest[]
    beforeEach(async () => {
      ;[said, closed, sent] = [[], 0, []]
      const components = await load<Record<string, unknown>>(module)
      screen = await show(components[component], {
        ...props,
        onClose: () => closed++,
        onDone: (text: string) => said.push(text),
        onConflict: () => said.push('conflict'),
      })
      await act?.(screen)
    })
    /** Presses the last button. `respond` answers the change. */
    const confirm = async (answerChange: () => Response): Promise<void> => {
      node.serve = (request) => {
        if (request.method === 'GET') return answer({ ...settings, revision: 4 })
        sent.push(request)
        return answerChange()
      }
      await screen.submit()
      await vi.advanceTimersByTimeAsync(20_000)
    }
    const made = () => answer(respond())

    test('is made once, as it was said', async () => {
      await confirm(made)
      expect(sent).toHaveLength(1)
      expect(sent[0]?.method).toBe(method)
      expect(sent[0]?.path.replace(/\?.*$/, '')).toMatch(path)
      if (body !== undefined) expect(JSON.parse(sent[0]?.body ?? '')).toEqual(body)
      expect([said, closed]).toEqual([[done], 1])
    })

    test.each(Object.entries(ENDINGS))(
      'a first try that is %s, and a second one',
      async (ending, { respond: end, says }) => {
        const mayBeApplied = says.source.startsWith('not known')
        await confirm(() => {
          // It is applied, and its answer is lost.
          if (mayBeApplied) respond()
          return end()
        })
        expect(screen.text()).toMatch(says)
        expect([said, closed], ending).toEqual([[], 0])
        const first = sent.length
        await confirm(made)
        expect(screen.text()).not.toMatch(/somebody else/)
        expect([said, closed], ending).toEqual([[done], 1])
        expect(sent).toHaveLength(first + 1)
        expect(new Set(sent.map(({ body: each }) => each)).size).toBe(1)
        const tokens = new Set(sent.map(({ headers }) => headers['Idempotency-Key']))
        if (hasToken) expect(tokens.size).toBe(mayBeApplied ? 1 : 2)
        else expect([tokens.size, first]).toEqual([1, 1])
      },
    )
  },
)
