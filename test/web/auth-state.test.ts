// Users and roles, which the page reads by two requests: somebody may change them in between.

import { beforeAll, expect, test } from 'vitest'
import { answer, problem, stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Modules {
  readAuth(signal: AbortSignal): Promise<{ readonly revision: number; readonly users: readonly object[] }>
  changeUsers(change: object, revision: number | undefined, onConflict: () => void): Promise<void>
}
const node = stubPage()
let page: Modules
beforeAll(async () => {
  page = await load<Modules>('pages/operation/auth-state.ts')
})

/** The revisions of the answers, one after the other, and the last one from then on. */
function serveRevisions(users: readonly number[], roles: readonly number[]): () => number {
  let [asked, answered] = [0, 0]
  node.serve = ({ path }) => {
    if (path.startsWith('/v1/auth/users')) {
      const revision = users[Math.min(asked++, users.length - 1)]
      return answer({ revision, users: [{ name: 'ann', roles: ['shop'], has_password: true }] })
    }
    if (path.startsWith('/v1/auth/roles')) {
      const revision = roles[Math.min(answered++, roles.length - 1)]
      return answer({ revision, roles: [{ name: 'shop', permissions: [] }] })
    }
    return answer({ enabled: true, revision: users[0] })
  }
  return () => asked
}

const { signal } = new AbortController()

test('both are read again until they are of one revision', async () => {
  const times = serveRevisions([3, 4], [4])
  expect((await page.readAuth(signal)).revision).toBe(4)
  expect(times()).toBe(2)
})

test.each([
  ['roles', [3], [4]],
  ['users', [4], [3]],
] as const)(
  'while %s change all the time, a change is made only over what was read',
  async (_, users, roles) => {
    serveRevisions(users, roles)
    const { revision } = await page.readAuth(signal)
    // The store is at 4, and what the page shows is in part of 3: such a change is refused.
    expect(revision).toBe(3)
    let condition: string | undefined
    node.serve = ({ headers }) => {
      condition = headers['If-Match']
      return problem('precondition_failed', 412)
    }
    let conflicts = 0
    const change = { kind: 'delete-user', name: 'ann' }
    await expect(page.changeUsers(change, revision, () => conflicts++)).rejects.toThrow('Nothing was changed')
    expect(condition).toBe('"3"')
    expect(conflicts).toBe(1)
  },
)
