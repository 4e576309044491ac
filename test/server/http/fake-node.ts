// A NodeApi without consensus: the real state machine on rows in memory, and a few levers for what a cluster can be in.

import {
  applyEntry,
  encodeState,
  initialState,
  type KvState,
  requestBytes,
  requestKind,
  writeRequest,
} from '../../../src/kv/index.ts'
import type { Outcome, Request, Revision, Rows, Settings } from '../../../src/kv/types.ts'
import type {
  Configuration,
  ConfigurationChange,
  LeaseSetting,
  Member,
  RaftStatus,
  ReplicaId,
} from '../../../src/raft/types.ts'
import { asIndex, asReplicaId, asTerm } from '../../../src/raft/types.ts'
import type {
  NodeApi,
  NodeStatus,
  Problem,
  ReadConsistency,
  ReadGrant,
  ReadOptions,
  Result,
} from '../../../src/server/types.ts'
import type { PageLimits, Range, RowScan, StoredRow } from '../../../src/storage/types.ts'
import { found } from '../../kv/store.ts'

type Done<T> = (result: Result<T>) => void

export class FakeNode implements NodeApi {
  readonly name = 'n1'
  readonly clusterId = '4242'
  readonly term = asTerm(3)
  leaderName: string | undefined = 'n2'
  state: KvState
  clusterTimeMs = 0
  configuration: Configuration = configurationOf(
    memberOf('n1', '1'),
    memberOf('n2', '2'),
    memberOf('n3', '3'),
  )
  leases: LeaseSetting = { on: false, durationMs: 500 }
  role: RaftStatus['role'] = 'follower'
  errors: string[] = []
  notReady: string[] = []

  /** Levers: what the next calls end in instead. */
  problem: Problem | undefined
  served: ReadConsistency | undefined
  stalenessMs: number | undefined
  /** Rows whose reading fails. */
  corrupt: ((key: Uint8Array) => boolean) | undefined

  /** What was asked, for tests that look at what arrives below. */
  readonly asked: {
    readonly options?: ReadOptions
    readonly request?: Request
    readonly timeoutMs: number
  }[] = []
  readonly changes: ConfigurationChange[] = []
  openScans = 0
  /** What ranges could not read and have passed over, told when they are finished. */
  unread: Error | undefined
  /** Called before each slice of a range is read. */
  onSlice: (() => void) | undefined
  /** Called before a proposal is answered; the answer waits until it calls back. */
  hold: ((release: () => void) => void) | undefined

  readonly #waiting: (() => void)[] = []
  readonly #rows = new Map<string, StoredRow>()

  constructor(settings: Partial<Settings> = {}) {
    this.state = initialState(settings)
  }

  /** Writes without HTTP. */
  put(key: string | Uint8Array, value: string | Uint8Array): void {
    const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)]
    const command = {
      kind: 'put',
      key: keyBytes,
      value: valueBytes,
      condition: undefined,
      prev: false,
    } as const
    this.#apply({ command, idempotency: undefined, principal: '' })
  }

  /** An empty store. */
  clear(state: KvState): void {
    this.state = state
    this.#rows.clear()
  }

  /** Resolves when no scan is open. */
  scansClosed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.openScans === 0) resolve()
      else this.#waiting.push(resolve)
    })
  }

  get revision(): Revision {
    return this.state.revision
  }

  status(): NodeStatus {
    const { term, revision, leases, configuration, role, clusterId, name } = this
    const self = asReplicaId('1')
    const match = (id: ReplicaId) => ({
      id,
      match: asIndex(88 + Number(id)),
      next: asIndex(91),
      applied: asIndex(89),
      state: 'replicate' as const,
      inflightMessages: 0,
      inflightBytes: 0,
      paused: false,
      recentlyActive: true,
      room: 'enough' as const,
    })
    const raft: RaftStatus = {
      id: self,
      role,
      term,
      vote: undefined,
      leader: this.leaderName === undefined ? undefined : asReplicaId('2'),
      commit: asIndex(100),
      applied: asIndex(99),
      firstIndex: asIndex(7),
      lastIndex: asIndex(101),
      stableIndex: asIndex(100),
      configuration,
      leases,
      leaseValid: false,
      transferTarget: undefined,
      room: 'enough' as const,
      progress:
        role === 'leader'
          ? configuration.members.filter(({ id }) => id !== self).map(({ id }) => match(id))
          : [],
      stalenessMs: this.stalenessMs,
    }
    const { settings } = this.state
    const { errors, notReady } = this
    return {
      name,
      clusterId,
      replicaId: self,
      raft,
      revision,
      settings,
      diskFreeBytes: 80 * 1024 ** 3,
      stateHash: 0xabcdn,
      errors,
      notReady,
    }
  }

  propose(request: Request, timeoutMs: number, done: Done<{ outcome: Outcome; replayed: boolean }>): void {
    this.asked.push({ request, timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      const { outcome, replayed } = this.#apply(request)
      return { ok: true, value: { outcome, replayed } }
    }, done)
  }

  read(options: ReadOptions, done: Done<ReadGrant>): void {
    this.asked.push({ options, timeoutMs: options.timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      const served = this.served ?? options.consistency
      return {
        ok: true,
        value: {
          served,
          stalenessMs: served === 'stale' ? this.stalenessMs : undefined,
          revision: this.revision,
        },
      }
    }, done)
  }

  get(rowKey: Uint8Array): Uint8Array | undefined {
    if (this.corrupt?.(rowKey)) throw new Error('the CRC of a row does not hold')
    return this.#rows.get(latin1(rowKey))?.value
  }

  scan(range: Range): RowScan {
    this.openScans++
    // Sorted by bytes, as LevelDB has them.
    const rows = [...this.#rows.values()].filter((row) => inRange(row, range))
    rows.sort((a, b) => Buffer.compare(a.key, b.key))
    if (range.reverse) rows.reverse()
    let isClosed = false
    const close = (): void => {
      if (isClosed) return
      isClosed = true
      this.openScans--
      if (this.openScans === 0) for (const resolve of this.#waiting.splice(0)) resolve()
    }
    const broken = (): Error | undefined =>
      rows.some(({ key }) => this.corrupt?.(key)) ? new Error('the CRC of a row does not hold') : undefined
    const kv = encodeState(this.state)
    return {
      applied: { index: asIndex(99), term: this.term, raft: new Uint8Array(), kv },
      stateHash: 0xabcdn,
      next: (limits, done) => {
        this.onSlice?.()
        const error = broken()
        if (error !== undefined) setImmediate(done, error, [], false)
        else setImmediate(done, undefined, ...takePage(rows, limits))
      },
      seek: () => {
        throw new Error('no front seeks')
      },
      finish: (done) => {
        close()
        setImmediate(done, this.unread)
      },
      close,
    }
  }

  change(change: ConfigurationChange, timeoutMs: number, done: Done<Configuration>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      this.changes.push(change)
      this.#reconfigure(change)
      return { ok: true, value: this.configuration }
    }, done)
  }

  setLeases(setting: LeaseSetting, timeoutMs: number, done: Done<LeaseSetting>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      this.leases = setting
      return { ok: true, value: setting }
    }, done)
  }

  transfer(to: ReplicaId | undefined, timeoutMs: number, done: Done<{ readonly leader: string }>): void {
    this.asked.push({ timeoutMs })
    this.#later(() => {
      if (this.problem !== undefined) return { ok: false, problem: this.problem }
      this.leaderName = this.configuration.members.find(({ id }) => id === to)?.name ?? 'n3'
      return { ok: true, value: { leader: this.leaderName } }
    }, done)
  }

  #later<T>(result: () => Result<T>, done: Done<T>): void {
    const run = (): void => done(result())
    const { hold } = this
    setImmediate(hold === undefined ? run : () => hold(run))
  }

  #apply(request: Request) {
    const { kind, version } = requestKind(request)
    const body = new Uint8Array(requestBytes(request))
    writeRequest(request, body, 0)
    const rows: Rows = {
      read: (key, head) => found(this.#rows.get(latin1(key))?.value, head),
      write: ({ key, value, rest = new Uint8Array() }) => {
        if (value === undefined) this.#rows.delete(latin1(key))
        else this.#rows.set(latin1(key), { key, value: Buffer.concat([value, rest]) })
      },
    }
    const applied = applyEntry(kind, version, body, this.clusterTimeMs, this.state, rows)
    this.state = applied.state
    return applied
  }

  #reconfigure(change: ConfigurationChange): void {
    if (change.kind !== 'change') return
    let { members, voters, learners } = this.configuration
    for (const step of change.steps) {
      if (step.kind === 'remove') {
        members = members.filter(({ id }) => id !== step.id)
        voters = voters.filter((id) => id !== step.id)
      } else if (step.kind === 'update') {
        members = members.map((member) => (member.id === step.member.id ? step.member : member))
      } else if (step.kind === 'add-learner') {
        members = [...members, step.member]
        learners = [...learners, step.member.id]
      }
    }
    this.configuration = { ...this.configuration, members, voters, learners }
  }
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

const inRange = ({ key }: StoredRow, { gte, lt }: Range): boolean =>
  Buffer.compare(key, gte) >= 0 && Buffer.compare(key, lt) < 0

/** From the front. */
function takePage(rows: StoredRow[], { rowsMax, bytesMax }: PageLimits): [StoredRow[], boolean] {
  let bytes = 0
  const tooMany = rows.findIndex(({ key, value }, at) => {
    bytes += key.length + value.length
    return at === rowsMax || (at > 0 && bytes > bytesMax)
  })
  return [rows.splice(0, tooMany < 0 ? rows.length : tooMany), tooMany >= 0]
}

export function memberOf(name: string, id: string): Member {
  return { id: asReplicaId(id), name, peer: `127.0.0.1:70${id}`, url: `http://127.0.0.1:80${id}` }
}

const configurationOf = (...members: Member[]): Configuration => ({
  voters: members.map(({ id }) => id),
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  members,
  demoted: [],
  removed: [],
})
