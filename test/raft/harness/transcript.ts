// The notation of test/raft/golden/*.golden, explained in the README there: commands that control a cluster, each
// followed by its effects. `replay` runs the commands and writes the transcript anew; a test compares the two.

import { assertNever, emptyConfiguration } from '../../../src/raft/index.ts'
import type { ChangeStep, Message, RaftLimits, ReplicaId } from '../../../src/raft/types.ts'
import { asIndex, asReplicaId } from '../../../src/raft/types.ts'
import { showConfiguration } from './changes.ts'
import { Cluster, type Packet } from './cluster.ts'
import { NO_INDEX, NO_TERM, type TestLog } from './disk.ts'
import { configurationOf, idOf, LEASES_OFF, memberNamed } from './members.ts'
import type { NodeReport, SimNode } from './node.ts'

/** The transcript of the current code. */
export function replay(script: string): string {
  const transcript = new Transcript()
  const lines: string[] = []
  for (const [at, line] of script.split('\n').entries()) {
    if (line.startsWith('|')) continue
    lines.push(line)
    if (line.trim() === '' || line.startsWith('#')) continue
    try {
      for (const result of transcript.run(line)) lines.push(`| ${result}`)
    } catch (error) {
      const what = error instanceof Error ? error.message : `${error}`
      const soFar = lines.slice(0, -1).join('\n')
      throw new Error(`${what}\nin line ${at + 1}, "${line}", after\n${soFar}`, { cause: error })
    }
  }
  return lines.join('\n')
}

/** `word word key=value` */
interface Words {
  readonly plain: readonly string[]
  readonly named: ReadonlyMap<string, string>
}

class Transcript {
  #cluster = new Cluster()
  #limits: Partial<RaftLimits> = {}
  readonly #delayed: Packet[] = []
  readonly #shown = new Map<string, string>()
  readonly #reported = new Map<SimNode, number>()

  run(line: string): string[] {
    const [command = '', ...rest] = line.trim().split(/\s+/)
    const plain = rest.filter((word) => !word.includes('='))
    const named = new Map(
      rest
        .filter((word) => word.includes('='))
        .map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)] as const),
    )
    const extra = this.#execute(command, { plain, named })
    return [...extra, ...this.#changes()]
  }

  #execute(command: string, words: Words): readonly string[] {
    const { plain, named } = words
    const cluster = this.#cluster
    const [first = '', second] = plain
    const node = () => cluster.node(first)
    switch (command) {
      case 'cluster':
        this.#newCluster(words)
        return []
      case 'node':
        this.#newNode(first, named)
        return []
      case 'propose':
        for (const text of plain.slice(1)) node().propose(text)
        return []
      case 'propose-together':
        node().proposeAll(plain.slice(1))
        return []
      case 'change':
        node().change({ kind: 'change', steps: plain.slice(1).map((word) => this.#step(word)) })
        return []
      case 'leave-joint':
        node().change({ kind: 'leave-joint' })
        return []
      case 'leases':
        node().setLeases({ on: second === 'on', durationMs: LEASES_OFF.durationMs })
        return []
      case 'read':
        node().read(second === 'lease')
        return []
      case 'transfer':
        node().step({ kind: 'transfer', to: second === undefined ? undefined : cluster.node(second).id })
        return []
      case 'timeout':
        cluster.timeout(node())
        return []
      case 'beat':
        this.#beat(node())
        return []
      case 'tick':
        for (const name of plain) cluster.tick(cluster.node(name))
        return []
      case 'pass':
        if (second === undefined) cluster.pass(Number(first))
        else for (const name of plain.slice(1)) cluster.skew(cluster.node(name), Number(first))
        return []
      case 'run':
        cluster.run(Number(first))
        return []
      case 'settle':
        cluster.settle(plain.length === 0 ? cluster.nodes : plain.map((name) => cluster.node(name)))
        return []
      case 'store':
        node().store(Number(second ?? 1))
        return []
      case 'store-term':
        node().storeTerm()
        return []
      case 'apply':
        node().apply(Number(second ?? 1))
        return []
      case 'flush':
        for (const name of plain) cluster.node(name).flush()
        return []
      case 'hold':
        cluster.held.add(`${first} ${second}`)
        return []
      case 'release':
        cluster.held.delete(`${first} ${second}`)
        return []
      case 'deliver':
        for (const packet of this.#select(words)) cluster.deliver(packet)
        return []
      case 'drop': {
        const dropped = this.#select(words)
        cluster.packets = cluster.packets.filter((packet) => !dropped.includes(packet))
        return []
      }
      case 'delay': {
        const delayed = this.#select(words)
        cluster.packets = cluster.packets.filter((packet) => !delayed.includes(packet))
        this.#delayed.push(...delayed)
        return []
      }
      case 'arrive':
        for (const packet of this.#delayed.splice(0)) {
          cluster.packets.unshift(packet)
          cluster.deliver(packet)
        }
        return []
      case 'duplicate':
        cluster.packets.push(...this.#select(words))
        return []
      case 'cut':
        for (const other of plain.slice(1)) cluster.cut(node(), cluster.node(other))
        return []
      case 'heal':
        cluster.heal()
        return []
      case 'disconnect':
        cluster.disconnect(
          node(),
          plain.length === 1 ? cluster.nodes : plain.slice(1).map((name) => cluster.node(name)),
        )
        return []
      case 'refuse':
        for (const other of plain.slice(1)) node().step({ kind: 'unreachable', peer: cluster.node(other).id })
        return []
      case 'connect':
        for (const other of plain.slice(1)) cluster.connect(node(), cluster.node(other))
        return []
      case 'crash':
        cluster.crash(node(), Number(named.get('survive') ?? 0))
        return []
      case 'restart':
        cluster.restart(node())
        return []
      case 'wipe':
        this.#wipe(node())
        return []
      case 'cut-log':
        node().disk.log.list.splice(Number(second) - node().disk.log.base - 1)
        node().disk.hardState = { ...node().disk.hardState, commit: node().disk.applied.index }
        cluster.rules.damaged(node())
        return []
      case 'compact':
        node().flush()
        node().compact(asIndex(Number(second)))
        return []
      case 'messages':
        return cluster.packets.map((packet) => this.#packet(packet))
      case 'expect':
        this.#expect(words)
        return []
      default:
        throw new Error(`no such command: ${command}`)
    }
  }

  #newCluster({ plain, named }: Words): void {
    const number = (key: string) => (named.has(key) ? Number(named.get(key)) : undefined)
    const demoted = list(named.get('demoted')).map(idOf)
    const learners = [...list(named.get('learners')).map(idOf), ...demoted]
    const limits: Record<string, number | undefined> = {
      inflightMessagesMax: number('inflight'),
      applyBytesMax: number('apply-bytes'),
      appendBytesMax: number('append-bytes'),
      uncommittedBytesMax: number('uncommitted-bytes'),
      uncommittedEntriesMax: number('uncommitted-entries'),
    }
    const given = Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined))
    // Compacted entries are gone from memory too.
    this.#limits = { tailBytesMax: 0, ...given }
    this.#cluster = new Cluster({
      limits: this.#limits,
      leases: { ...LEASES_OFF, on: named.get('leases') === 'on' },
    })
    const members = plain.map((name) => memberNamed(name, idOf(name)))
    const configuration = { ...configurationOf(members, learners), demoted }
    for (const name of plain) {
      const own = (key: string) => named.get(`${key}:${name}`) ?? named.get(key)
      const value = (key: string) => (own(key) === undefined ? {} : { [key]: Number(own(key)) })
      this.#cluster.add(name, {
        configuration,
        ...value('base'),
        ...value('term'),
        ...value('commit'),
        terms: list(own('terms')).map(Number),
      })
    }
    this.#cluster.connectAll()
  }

  #newNode(name: string, named: ReadonlyMap<string, string>): void {
    const id = named.get('id')
    const cluster = this.#cluster
    const base = Number(named.get('base') ?? 0)
    const configuration = base === 0 ? emptyConfiguration : cluster.nodes[0]?.disk.applied.state.configuration
    const node = cluster.add(name, { ...(id && { id }), base, ...(configuration && { configuration }) })
    for (const peer of cluster.nodes) cluster.connect(node, peer)
  }

  /**
   * The disk of a crashed replica is lost and it starts again with the same id, which must never happen in production.
   */
  #wipe(node: SimNode): void {
    const { disk } = node
    disk.hardState = { term: NO_TERM, vote: undefined, commit: NO_INDEX }
    disk.log.write({
      number: 0,
      hardState: disk.hardState,
      truncateFrom: undefined,
      entries: [],
      snapshot: {
        meta: { index: NO_INDEX, term: NO_TERM, state: disk.applied.state },
        snapshotId: '',
        keepLog: false,
      },
    })
    const state = { configuration: emptyConfiguration, leaderLeases: LEASES_OFF }
    disk.applied = { index: NO_INDEX, term: NO_TERM, state, clusterTimeMs: 0, machine: [] }
    this.#cluster.rules.damaged(node)
  }

  /** All clocks advance to this leader's next deadlines until a round of heartbeats is due, and the leader wakes. */
  #beat(node: SimNode): void {
    const cluster = this.#cluster
    const { heartbeatMs } = node.options.timing
    cluster.pass(heartbeatMs)
    cluster.tick(node)
  }

  /** +n4 adds a learner, n4 promotes, ~n2 demotes, -n2 removes, n2:name renames. */
  #step(word: string): ChangeStep {
    const cluster = this.#cluster
    const name = word.replace(/^[+~-]/, '')
    const idNamed = (text: string): ReplicaId =>
      text.startsWith('#')
        ? asReplicaId(text.slice(1))
        : (cluster.nodes.findLast((one) => one.name === text)?.id ?? idOf(text))
    if (word.startsWith('+')) return { kind: 'add-learner', member: memberNamed(name, idNamed(name)) }
    if (word.startsWith('~')) return { kind: 'demote', id: idNamed(name) }
    if (word.startsWith('-')) return { kind: 'remove', id: idNamed(name) }
    const [old = '', renamed] = word.split(':')
    if (renamed !== undefined) return { kind: 'update', member: memberNamed(renamed, idNamed(old)) }
    return { kind: 'promote', id: idNamed(name) }
  }

  /** `deliver n2 [from=n1] [type=append] [count=1]`: packets to n2, oldest first. */
  #select({ plain, named }: Words): Packet[] {
    const cluster = this.#cluster
    const from = named.get('from')
    const type = named.get('type')
    const chosen = cluster.packets.filter(
      (packet) =>
        (plain.length === 0 || plain.includes(cluster.nameOf(packet.to))) &&
        (from === undefined || cluster.nameOf(packet.from) === from) &&
        (type === undefined || typeOf(packet) === type),
    )
    const count = named.get('count')
    const last = named.get('last')
    if (last !== undefined) return chosen.slice(-Number(last)).reverse()
    return count === undefined ? chosen : chosen.slice(0, Number(count))
  }

  // ---- output

  #changes(): string[] {
    const lines: string[] = []
    for (const node of this.#cluster.nodes) {
      for (const [key, line] of this.#lines(node)) {
        if (this.#shown.get(key) === line) continue
        this.#shown.set(key, line)
        lines.push(line)
      }
    }
    for (const node of this.#cluster.nodes) {
      const from = this.#reported.get(node) ?? 0
      for (const report of node.reports.slice(from)) lines.push(...this.#report(node, report))
      this.#reported.set(node, node.reports.length)
    }
    return lines
  }

  #lines(node: SimNode): [string, string][] {
    const { name, id } = node
    if (!node.running) return [[id, `${name} is down, log ${logOf(node.disk.log)}`]]
    const { raft, process } = node
    const status = raft.status()
    const names = (ids: readonly ReplicaId[]) => ids.map((one) => this.#cluster.nameOf(one)).join(',')
    const lines: [string, string][] = [
      [
        id,
        [
          `${name} ${status.role}@${status.term}`,
          status.leader === undefined || status.leader === id ? '' : `of ${names([status.leader])}`,
          status.vote === undefined ? '' : `vote=${names([status.vote])}`,
          `log=${logOf(process.log, status.stableIndex)}`,
          `commit=${status.commit} applied=${status.applied}`,
          status.transferTarget === undefined ? '' : `transfer=${names([status.transferTarget])}`,
          status.leaderLeaseValid ? 'lease' : '',
        ]
          .filter((part) => part !== '')
          .join(' '),
      ],
    ]
    const shown = showConfiguration(status.configuration, (one) => this.#cluster.nameOf(one))
    const leases = status.leaderLeases.on ? ' leases=on' : ''
    lines.push([`${id} configuration`, `${name} ${shown || 'in no configuration'}${leases}`])
    for (const one of status.progress) {
      if (one.id === id) continue
      lines.push([
        `${id} ${one.id}`,
        [
          `${name}>${this.#cluster.nameOf(one.id)} ${one.state} match=${one.match} next=${one.next}`,
          one.inflightMessages === 0 ? '' : `inflight=${one.inflightMessages}`,
          one.paused ? 'paused' : '',
        ]
          .filter((part) => part !== '')
          .join(' '),
      ])
    }
    return lines
  }

  #report({ name }: SimNode, report: NodeReport): string[] {
    switch (report.kind) {
      case 'outcome': {
        const { outcome } = report
        return [`${name} proposal ${outcome.seq} ${outcomeText(outcome)}`]
      }
      case 'read': {
        const { read } = report
        return read.outcome === 'confirmed'
          ? [`${name} read ${read.id} confirmed at ${read.index}${read.leaderLease ? ' by lease' : ''}`]
          : [`${name} read ${read.id} refused: ${read.refusal}`]
      }
      case 'transfer':
        return [`${name} transfer ${report.outcome}`]
      case 'fatal':
        return [`${name} stops: ${report.detail}`]
      case 'role':
        return []
      default:
        return assertNever(report)
    }
  }

  #packet(packet: Packet): string {
    const names = `${this.#cluster.nameOf(packet.from)}>${this.#cluster.nameOf(packet.to)}`
    return packet.content.kind === 'snapshot'
      ? `${names} snapshot stream at ${packet.content.snapshot.meta.index}`
      : `${names} ${messageText(packet.content.message)}`
  }

  // ---- assertions by hand

  /** `expect n1 leader term=2 commit=3`: assertions that regenerating never changes. */
  #expect({ plain, named }: Words): void {
    const [name = '', ...flags] = plain
    const node = this.#cluster.node(name)
    const wrong: string[] = []
    for (const flag of flags) {
      const holds = flag === 'down' ? !node.running : node.running && node.raft.role === flag
      if (!holds) wrong.push(`${name} is ${node.running ? node.raft.role : 'down'}, not ${flag}`)
    }
    for (const [key, value] of named) {
      const actual = this.#fact(node, key)
      if (actual !== value) wrong.push(`${key} of ${name} is ${actual}, not ${value}`)
    }
    if (wrong.length > 0) throw new Error(wrong.join('; '))
  }

  #fact(node: SimNode, key: string): string {
    if (key === 'disk') return logOf(node.disk.log).replaceAll(' ', ',')
    if (key === 'applied-texts') return node.process.machine.map(({ text }) => text).join(',')
    if (key === 'outcomes')
      return node.reports
        .flatMap((report) => (report.kind === 'outcome' ? [report.outcome] : []))
        .map((outcome) => `${outcome.seq}:${outcomeText(outcome).split(/[ :]/)[0]}`)
        .join(',')
    if (key === 'reads')
      return node.reports
        .flatMap((report) => (report.kind === 'read' ? [report.read] : []))
        .map((read) => `${read.id}:${read.outcome === 'confirmed' ? read.index : read.refusal}`)
        .join(',')
    const status = node.raft.status()
    const names = (ids: readonly ReplicaId[]) => ids.map((one) => this.#cluster.nameOf(one)).join(',')
    const one = (id: ReplicaId | undefined) => (id === undefined ? 'none' : names([id]))
    const [what, peer] = key.split(':')
    const progress = status.progress.find((each) => this.#cluster.nameOf(each.id) === peer)
    switch (what) {
      case 'term':
        return `${status.term}`
      case 'vote':
        return one(status.vote)
      case 'leader':
        return one(status.leader)
      case 'commit':
        return `${status.commit}`
      case 'applied':
        return `${status.applied}`
      case 'last':
        return `${status.lastIndex}`
      case 'stable':
        return `${status.stableIndex}`
      case 'log':
        return logOf(node.process.log).replaceAll(' ', ',')
      case 'voters':
        return names(status.configuration.voters)
      case 'outgoing':
        return names(status.configuration.votersOutgoing)
      case 'learners':
        return names(status.configuration.learners)
      case 'learners-next':
        return names(status.configuration.learnersNext)
      case 'lease':
        return `${status.leaderLeaseValid}`
      case 'leases':
        return status.leaderLeases.on ? 'on' : 'off'
      case 'staleness':
        return status.stalenessMs === undefined ? 'unknown' : `${Math.round(status.stalenessMs)}`
      case 'transfer':
        return one(status.transferTarget)
      case 'state':
        return progress?.state ?? 'none'
      case 'match':
        return `${progress?.match}`
      case 'next':
        return `${progress?.next}`
      case 'inflight':
        return `${progress?.inflightMessages}`
      case 'paused':
        return `${progress?.paused}`
      default:
        throw new Error(`nothing is called ${key}`)
    }
  }
}

const list = (text: string | undefined): string[] =>
  text === undefined || text === '' ? [] : text.split(',')

const typeOf = (packet: Packet): string =>
  packet.content.kind === 'snapshot' ? 'snapshot' : packet.content.message.type

/** `(2@1) 3-5@2 ~6@2`: compacted up to 2, three durable entries of term 2, one that is not durable yet. */
function logOf(log: TestLog, stable: number = Number.POSITIVE_INFINITY): string {
  const runs: { from: number; to: number; term: number; stable: boolean }[] = []
  for (const { index, term } of log.list) {
    const last = runs.at(-1)
    if (last !== undefined && last.term === term && last.stable === index <= stable) last.to = index
    else runs.push({ from: index, to: index, term, stable: index <= stable })
  }
  const parts = runs.map(
    ({ from, to, term, stable: durable }) =>
      `${durable ? '' : '~'}${from === to ? from : `${from}-${to}`}@${term}`,
  )
  if (log.base > 0) parts.unshift(`(${log.base}@${log.baseTerm})`)
  return parts.join(' ') || 'empty'
}

function outcomeText(outcome: Extract<NodeReport, { kind: 'outcome' }>['outcome']): string {
  switch (outcome.outcome) {
    case 'committed':
      return `committed at ${outcome.index}`
    case 'refused':
      return `refused: ${outcome.refusal.reason}`
    case 'superseded':
    case 'unknown':
      return outcome.outcome
    default:
      return assertNever(outcome)
  }
}

/** A message with the fields that scripts use. */
export function messageText(message: Message): string {
  const { type, term } = message
  switch (message.type) {
    case 'append': {
      const entries = message.entries.map(({ index, term: of }) => `${index}@${of}`).join(',')
      return `append@${term} prev=${message.prevIndex}@${message.prevTerm} entries=${entries || 'none'} commit=${message.commit}`
    }
    case 'append-accepted':
      return `append-accepted@${term} index=${message.index}`
    case 'append-rejected':
      return `append-rejected@${term} index=${message.index} hint=${message.hintIndex}@${message.hintTerm}`
    case 'heartbeat':
      return `heartbeat@${term} commit=${message.commit}`
    case 'vote-request':
    case 'pre-vote-request':
      return `${type}@${term} last=${message.lastIndex}@${message.lastTerm}${message.transfer ? ' transfer' : ''}`
    case 'vote-answer':
    case 'pre-vote-answer':
      return `${type}@${term} ${message.granted ? 'granted' : 'refused'}`
    case 'forward':
      return `forward@${term} proposals=${message.proposals.map(({ seq }) => seq).join(',')}`
    case 'forward-refused':
      return `forward-refused@${term} ${message.refused.map(({ seq, refusal }) => `${seq}:${refusal.reason}`).join(',')}`
    case 'read-index':
      return `read-index@${term} request=${message.request}`
    case 'read-index-answer':
      return `read-index-answer@${term} request=${message.request} index=${message.index ?? message.refusal}`
    case 'snapshot':
      return `snapshot@${term} index=${message.meta.index}`
    case 'heartbeat-answer':
    case 'timeout-now':
    case 'transfer-request':
    case 'lost-state':
      return `${type}@${term}`
    default:
      return assertNever(message)
  }
}
