// RPCs of several steps, and what others do between two of them: a table over all gaps of each. Somebody else's change
// is seen whole or not at all, and overwritten by nobody. A client that goes, or is refused, leaves nothing behind.

import { describe, expect, onTestFinished, test } from 'vitest'
import { RPC } from '../../../src/etcd/rpcs.ts'
import { GrpcClient } from '../../../src/etcd-client/grpc-client.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import type { HttpLimits } from '../../../src/server/listener/limits.ts'
import type { Problem } from '../../../src/server/node/result.ts'
import { quickPasswords } from '../../quick-passwords.ts'
import { AS_BOB, nodeWithUsers, permit } from '../auth/users.ts'
import { FakeNode } from '../http/fake-node.ts'
import { serve } from '../http/served.ts'
import { PROBLEMS } from './requests.ts'
import { base64, ETCD_WIRES, type Json } from './wires.ts'

quickPasswords()

const LIMITS: Partial<HttpLimits> = { pageRowsMax: 2, sliceRowsMax: 1 }

/** Calls `act` before the node makes the step `at`: a read, a proposal or a watch. Returns the number of its steps. */
function inGap(node: FakeNode, at: number, act: (step: () => void) => void): () => number {
  let steps = 0
  const step = (run: () => void): void => (steps++ === at ? act(run) : run())
  node.hold = step
  const { watch } = node
  node.watch = (...args) => {
    // It begins in the turn in which it is asked for.
    step(() => {})
    return watch.apply(node, args)
  }
  return () => steps
}

/** Calls `run` with 0, 1, 2 … as long as it has a step of this number. */
async function forEachGap(run: (at: number) => Promise<number>): Promise<void> {
  for (let at = 0; at < (await run(at)); at++) expect(at).toBeLessThan(100)
}

async function open(node = new FakeNode()) {
  const { http, port } = await serve({ node, limits: LIMITS })
  const connect = (token?: string) => {
    const client = new GrpcClient({ endpoint: `http://127.0.0.1:${port}` })
    onTestFinished(() => client.close())
    return { client, options: token === undefined ? {} : { metadata: { authorization: token } } }
  }
  return { node, http, port, connect }
}

const [[, openGrpc] = expect.fail('no wire')] = ETCD_WIRES

const all = { key: base64('\0'), range_end: base64('\0') }

describe('a read of several pages is of one revision', () => {
  const fill = (node: FakeNode): void => {
    for (const at of [3, 1, 4, 5, 2, 7, 6]) node.put(`n/${at}`, `value ${at}`)
    for (const at of [2, 5]) node.put(`n/${at}`, `newer ${at}`)
  }
  /** The first key, the last one, one between, and one that is new. */
  const change = (node: FakeNode): void => {
    for (const key of ['n/1', 'n/7', 'n/3'])
      node.apply({ kind: 'delete', key: Buffer.from(key), condition: undefined, prev: false })
    node.put('n/4', 'changed')
    for (const key of ['a', 'n/45', 'z']) node.put(key, 'new')
  }

  test.each<[string, (typeof RPC)[keyof typeof RPC], object]>([
    ['Range', RPC.range, all],
    ['Range in falling order', RPC.range, { ...all, sort_order: 'DESCEND' }],
    ['Range by revision', RPC.range, { ...all, sort_target: 'MOD', sort_order: 'DESCEND', limit: '3' }],
    ['Range with a filter', RPC.range, { ...all, min_mod_revision: '4' }],
    ['Range with a limit', RPC.range, { ...all, limit: '5' }],
    ['Range of keys', RPC.range, { ...all, keys_only: true }],
    ['Range of a count', RPC.range, { ...all, count_only: true }],
    ['RangeStream', RPC.rangeStream, all],
    ['RangeStream with a limit', RPC.rangeStream, { ...all, limit: '5' }],
    ['Hash', RPC.hash, {}],
    ['HashKV', RPC.hashKv, {}],
    ['Leader', RPC.leader, { name: base64('n') }],
  ])('%s', async (_, rpc, request) => {
    /** Facts of the node now, and not of the read. */
    const withoutNow = ({ responses, error }: Awaited<ReturnType<ReturnType<typeof openGrpc>>>): Json => {
      const now = rpc === RPC.hashKv || rpc === RPC.leader
      return { error, responses: now ? responses.map(({ header, ...rest }) => rest) : responses }
    }
    const ask = async (act: (node: FakeNode) => () => number) => {
      const { node, port } = await open()
      fill(node)
      const count = act(node)
      return [withoutNow(await openGrpc(port)(rpc, request)), count()] as const
    }
    const [undisturbed] = await ask((node) => inGap(node, -1, () => {}))
    const [changed] = await ask((node) => {
      change(node)
      return inGap(node, -1, () => {})
    })
    expect(changed).not.toEqual(undisturbed)
    await forEachGap(async (at) => {
      const [answer, steps] = await ask((node) =>
        inGap(node, at, (step) => {
          change(node)
          step()
        }),
      )
      expect([undisturbed, changed]).toContainEqual(answer)
      return steps
    })
  })
})

describe('users and roles', () => {
  const AUTH = { kind: 'auth', ifRevision: undefined } as const
  const range = { start: Buffer.from('k'), end: Buffer.from('l') }
  const roleOf = (node: FakeNode) =>
    node.auth.state.roles
      .get('app')
      ?.permissions.map(({ access, range: { start } = range }) => [access, Buffer.from(start).toString()])
  /** Another node gives bob a role, and its role a permission. */
  const change = (node: FakeNode): void => {
    const { passwordHash } = node.auth.state.users.get('bob') ?? {}
    node.apply({ ...AUTH, change: { kind: 'put-user', name: 'bob', passwordHash, roles: ['app', 'other'] } })
    permit(
      node,
      { access: 'read', range: { start: Buffer.from('app/'), end: Buffer.from('app0') } },
      { access: 'read', range },
    )
  }
  const newPermission = { name: 'app', perm: { permType: 0, key: Buffer.from('x'), rangeEnd: Buffer.of() } }

  test.each([
    ['UserGrantRole', RPC.userGrantRole, { user: 'bob', role: 'third' }],
    ['UserRevokeRole', RPC.userRevokeRole, { name: 'bob', role: 'app' }],
    ['UserChangePassword', RPC.userChangePassword, { name: 'bob', password: 'a new password' }],
    ['RoleGrantPermission', RPC.roleGrantPermission, newPermission],
    [
      'RoleRevokePermission',
      RPC.roleRevokePermission,
      { role: 'app', key: Buffer.from('app/'), rangeEnd: Buffer.from('app0') },
    ],
  ])('%s and a change of another node are both made', async (_, rpc, request) => {
    await forEachGap(async (at) => {
      const { node, connect } = await open(new FakeNode())
      for (const name of ['other', 'third', 'app'])
        node.apply({ ...AUTH, change: { kind: 'put-role', name, permissions: [] } })
      permit(node, { access: 'read', range: { start: Buffer.from('app/'), end: Buffer.from('app0') } })
      node.apply({ ...AUTH, change: { kind: 'put-user', name: 'bob', passwordHash: 'none', roles: ['app'] } })
      let steps = 0
      const count = inGap(node, at, (step) => {
        change(node)
        step()
      })
      await connect().client.unary<object, object>(rpc, request)
      steps = count()
      const found = { roles: node.auth.state.users.get('bob')?.roles.toSorted(), app: roleOf(node) }
      const both = {
        roles: ['app', 'other'],
        app: [
          ['read', 'app/'],
          ['read', 'k'],
        ],
      }
      if (steps > at)
        expect(found).toEqual(
          {
            UserGrantRole: { ...both, roles: ['app', 'other', 'third'] },
            UserRevokeRole: { ...both, roles: ['other'] },
            UserChangePassword: both,
            RoleGrantPermission: { ...both, app: [...both.app, ['read', 'x']] },
            RoleRevokePermission: { ...both, app: [['read', 'k']] },
          }[_],
        )
      return steps
    })
  })
})

const name = Buffer.from('n')
/** A wait that is not ended fails. */
const LIMITED = { timeoutMs: 20_000 }

describe('locks and elections', () => {
  const grant = (node: FakeNode, id: number): void =>
    node.apply({ kind: 'grant', id: String(id) as LeaseId, ttlMs: 60_000 })
  const enter = (node: FakeNode, id: number, value = 'v'): void => {
    grant(node, id)
    const key = Buffer.from(`n/${id.toString(16)}`)
    const put = { kind: 'put', key, value: Buffer.from(value), condition: undefined, prev: false } as const
    node.apply({ ...put, lease: { id: String(id) as LeaseId } })
  }
  const leave = (node: FakeNode, id: number): void =>
    node.apply({ kind: 'revoke', id: String(id) as LeaseId })

  test.each([
    ['Lock', RPC.lock],
    ['Campaign', RPC.campaign],
  ])('%s has its turn whenever the last of those before it goes', async (_, rpc) => {
    await forEachGap(async (at) => {
      const { node, connect } = await open()
      enter(node, 1)
      enter(node, 2)
      grant(node, 3)
      const steps = inGap(node, at, (step) => {
        leave(node, 2)
        leave(node, 1)
        // The events that it waits for are kept no longer.
        node.apply({ kind: 'compact', revision: node.revision, onlyForward: undefined })
        step()
      })
      const done = connect().client.unary<object, object>(rpc, { name, lease: 3n }, LIMITED)
      // It waits for those before it.
      await expect.poll(() => steps() > at || node.watches.counts().open === 1).toBe(true)
      if (steps() <= at) for (const id of [2, 1]) leave(node, id)
      await done
      expect(node.records().map(({ key }) => Buffer.from(key).toString())).toEqual(['n/3'])
      return steps()
    })
  })

  test('Observe shows the newest value whenever it is proclaimed', async () => {
    await forEachGap(async (at) => {
      const { node, connect } = await open()
      enter(node, 1, 'old')
      // The others make several pages.
      for (const id of [2, 3, 4]) enter(node, id)
      const proclaim = (): void => node.put('n/1', 'new')
      const steps = inGap(node, at, (step) => {
        proclaim()
        step()
      })
      const seen: string[] = []
      for await (const { kv } of connect().client.serverStream(RPC.observe, { name }, LIMITED)) {
        seen.push(Buffer.from(kv?.value ?? []).toString())
        if (seen.at(-1) === 'new') break
        await expect.poll(() => steps() > at || node.watches.counts().open === 1).toBe(true)
        if (steps() <= at) proclaim()
      }
      return steps()
    })
  })

  /** Traces of a caller without a lease of its own. */
  const left = (node: FakeNode) => ({
    keys: node.records().map(({ key }) => Buffer.from(key).toString()),
    leases: node.state.leases.count,
    watches: node.watches.counts().open,
  })
  const NOTHING_LEFT = { keys: ['n/1'], leases: 1, watches: 0 }
  const RPCS = [
    ['Lock', RPC.lock],
    ['Campaign', RPC.campaign],
  ] as const

  test.each(RPCS)('%s whose client goes leaves neither a key nor a lease', async (_, rpc) => {
    await forEachGap(async (at) => {
      const { node, http, connect } = await open()
      enter(node, 1)
      const { client } = connect()
      const steps = inGap(node, at, (step) => {
        client.close()
        void expect
          .poll(() => http.inspect().grpcCalls)
          .toBe(0)
          .then(step)
      })
      const done = client.unary<object, object>(rpc, { name })
      const ended = expect(done).rejects.toThrow()
      await expect.poll(() => steps() > at || node.watches.counts().open === 1).toBe(true)
      client.close()
      await ended
      await expect.poll(() => left(node)).toEqual(NOTHING_LEFT)
      return steps()
    })
  })

  /** The next step of the node ends so: it is not made, or a change is made and its outcome is unknown. */
  const FAULTS: readonly (readonly [fault: string, problem: Problem])[] = Object.entries(PROBLEMS)

  test.each(
    RPCS.flatMap(([rpcName, rpc]) => FAULTS.map(([fault, problem]) => ({ rpcName, rpc, fault, problem }))),
  )('$rpcName that fails with $fault leaves neither a key nor a lease', async ({ rpc, problem }) => {
    await forEachGap(async (at) => {
      const { node, connect } = await open()
      enter(node, 1)
      const { client } = connect()
      let [isFailing, hasFailed, isCleanUp] = [false, false, false]
      const { propose } = node
      node.propose = (request, timeoutMs, done) => {
        isCleanUp = request.command.kind === 'revoke'
        propose.call(node, request, timeoutMs, (result) => {
          hasFailed ||= isFailing
          done(isFailing ? { ok: false, problem } : result)
        })
      }
      const steps = inGap(node, at, (step) => {
        // A lease that cannot be ended now ends by itself.
        if (isCleanUp) return step()
        isFailing = problem.written === 'unknown'
        if (!isFailing) node.problem = problem
        step()
        isFailing = false
        node.problem = undefined
      })
      let outcome: string | undefined
      const done = client.unary<object, object>(rpc, { name }).then(
        () => (outcome = 'had it'),
        () => (outcome = 'failed'),
      )
      // A step that cannot fail so is followed by others.
      await expect.poll(() => outcome ?? node.watches.counts().open).not.toBe(0)
      client.close()
      expect(await done).toBe('failed')
      await expect.poll(() => left(node)).toEqual(NOTHING_LEFT)
      if (steps() > at && problem.written === 'unknown' && at < 2) expect(hasFailed).toBe(true)
      return steps()
    })
  })

  test.each(RPCS)('%s that its user may not make changes nothing', async (_, rpc) => {
    const node = nodeWithUsers()
    const { connect } = await open(node)
    const { client, options } = connect(AS_BOB.Authorization)
    const { revision } = node
    const refused = { code: 7, message: 'etcdserver: permission denied' }
    await expect(client.unary<object, object>(rpc, { name }, options)).rejects.toMatchObject(refused)
    // He may write there, and not read.
    permit(node, { access: 'write', range: { start: Buffer.from('n/'), end: Buffer.from('n0') } })
    await expect(client.unary<object, object>(rpc, { name }, options)).rejects.toMatchObject(refused)
    const long = { name: Buffer.alloc(0xffff), lease: 0n }
    await expect(client.unary<object, object>(rpc, long, options)).rejects.toThrow('request is too large')
    expect([node.state.leases.count, node.keys]).toEqual([0, 0])
    expect(node.revision).toBeGreaterThanOrEqual(revision)
  })
})
