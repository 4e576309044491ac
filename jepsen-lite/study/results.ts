// The results of a study: the numbers for each level on each side, and the verdict.

import { cpus, release, type } from 'node:os'
import { version } from '../../src/system/version.ts'
import type { CheckResult, Verdict } from '../checker/index.ts'
import { type Conclusion, concludeFrom, type Finding } from '../finding.ts'
import { computeLatency, type Latency, round as rounded } from '../local/run-stats.ts'
import type { History } from '../workload/history.ts'
import { LEVELS, type Level, MEANINGS, type PartitionSide, SIDES } from './levels.ts'
import {
  collectRounds,
  computeMedian,
  measureOutage,
  measureRequests,
  type Outage,
  type Phase,
  phaseAt,
  type Round,
  type StudyRequest,
} from './measure.ts'
import { type Judgement, judge, STORE, streamKey } from './study-verdict.ts'

export interface StudySettings {
  readonly nodes: number
  readonly rounds: number
  readonly phaseMs: Readonly<Record<Phase, number>>
  /** Requests a second of each level on each side. */
  readonly rate: number
  /** The deadline of a request. */
  readonly timeoutMs: number
  /** The bound of the level `bounded`. */
  readonly maxStalenessMs: number
  /** The delay from one node to another, one way. */
  readonly delayMs: number
  readonly leases: boolean
  readonly cut: string
  readonly seed: number
  /** The command that repeats the study. */
  readonly command: string
}

/** The results of one level, on one side, in one phase, over all rounds. */
export interface PhaseResults {
  readonly asked: number
  readonly answered: number
  /** Requests that certainly wrote nothing, and returned no value. */
  readonly refused: number
  /** Writes that may have been applied, or may be applied later. */
  readonly unknown: number
  /** The number of unknown writes whose value a read or a node showed. */
  readonly unknown_seen: number
  /** The fraction of the requests that were answered: the median of the rounds. */
  readonly availability: number | null
  readonly latency_ms: Latency | null
  /** Measured and claimed age of the answers to gets that were sent and answered in the phase. */
  readonly behind_ms: Latency | null
  readonly behind_revisions: Latency | null
  readonly claimed_ms: Latency | null
  /** Why the other requests were not answered, and how often. */
  readonly reasons: Readonly<Record<string, number>>
  /** All answered requests that were sent in the phase, also those whose deadline is after it. */
  readonly judged: number
  /** The number of these answers that no linearizable store could have given. */
  readonly outdated: number
}

export interface StreamResults {
  readonly level: Level
  readonly side: PartitionSide
  readonly phases: Readonly<Record<Phase, PhaseResults>>
  /** Medians of the rounds, in milliseconds; null: there was no such time in any round. */
  readonly served_until_ms: number | null
  readonly first_answer_ms: number | null
  readonly silent_ms: number | null
  /** The median of the rounds in which the level was away and was answered again. */
  readonly back_ms: number | null
  /** The rounds in which the level was not answered again after the heal. */
  readonly never_back: number
  /** Answers that broke the promise of this level. */
  readonly broken: number
}

export interface StudyResults extends Conclusion {
  readonly seed: number
  readonly command: string
  readonly versions: {
    readonly quorate: string
    readonly node: string
    readonly os: string
    readonly cpu: string
    readonly cores: number
  }
  readonly settings: {
    readonly nodes: number
    readonly rounds: number
    readonly phase_ms: Readonly<Record<Phase, number>>
    readonly rate: number
    readonly timeout_ms: number
    readonly max_staleness_ms: number
    readonly delay_ms: number
    readonly leases: boolean
    readonly cut: string
  }
  readonly levels: Readonly<Record<Level, (typeof MEANINGS)[Level]>>
  readonly rounds: readonly {
    readonly round: number
    readonly leader: string
    readonly minority: readonly string[]
    readonly majority: readonly string[]
    /** From the cut until a node of the majority was seen as leader, and until a write was acknowledged there. */
    readonly elected_ms: number | null
    readonly first_write_ms: number | null
  }[]
  readonly streams: readonly StreamResults[]
  /** Before the partition: results for requests to the leader, and to the followers. */
  readonly calm: readonly {
    readonly level: Level
    readonly leader_ms: Latency | null
    readonly follower_ms: Latency | null
    /** For reads: how many answers were served at which level, as the answers say. */
    readonly served: Readonly<Record<string, number>>
  }[]
  readonly checked: CheckResult['counts'] & { readonly verdict: Verdict }
}

export interface StudyConclusion {
  readonly results: StudyResults
  readonly requests: readonly StudyRequest[]
}

export function buildStudyResults(
  history: History,
  settings: StudySettings,
  found: readonly Finding[],
): StudyConclusion {
  const judgement = judge(history)
  const rounds = collectRounds(history)
  const requests = measureRequests(history, rounds, settings.timeoutMs)
  const outages = measureOutages(rounds, requests)
  const seen = valuesSeen(history)
  const findings = [
    ...[...found, ...collectFindings(judgement)],
    ...[...whyNothingIsProven(rounds, outages, settings), ...neverServed(requests)],
  ]
  const results: StudyResults = {
    ...concludeFrom(findings),
    seed: settings.seed,
    command: settings.command,
    versions: versions(),
    settings: {
      nodes: settings.nodes,
      rounds: settings.rounds,
      phase_ms: settings.phaseMs,
      rate: settings.rate,
      timeout_ms: settings.timeoutMs,
      max_staleness_ms: settings.maxStalenessMs,
      delay_ms: settings.delayMs,
      leases: settings.leases,
      cut: settings.cut,
    },
    levels: MEANINGS,
    rounds: rounds.map((round) => ({
      round: round.number,
      leader: round.leader,
      ...round.sides,
      elected_ms: orNull(round.electedMs === undefined ? undefined : round.electedMs - round.cutMs),
      first_write_ms: orNull(outages.get(streamKey('write', 'majority'))?.get(round)?.firstAnswerMs),
    })),
    streams: SIDES.flatMap((side) =>
      LEVELS.map((level) => {
        const own = requests.filter((request) => request.level === level && request.side === side)
        const away = [...(outages.get(streamKey(level, side))?.values() ?? [])]
        return streamResults(level, side, own, away, judgement, seen)
      }),
    ),
    calm: LEVELS.map((level) => calmResults(level, requests)),
    checked: { verdict: judgement.checked.verdict, ...judgement.checked.counts },
  }
  return { results, requests }
}

// ---------------------------------------------------------------------------------------------------------------------
// Numbers

type Outages = ReadonlyMap<string, ReadonlyMap<Round, Outage>>

function measureOutages(rounds: readonly Round[], requests: readonly StudyRequest[]): Outages {
  const streams = SIDES.flatMap((side) => LEVELS.map((level) => ({ side, level })))
  return new Map(
    streams.map(({ level, side }) => {
      const own = requests.filter((request) => request.level === level && request.side === side)
      const ofRound = (round: Round): Outage =>
        measureOutage(
          round,
          own.filter((request) => request.round === round),
        )
      return [streamKey(level, side), new Map(rounds.map((round) => [round, ofRound(round)]))]
    }),
  )
}

function streamResults(
  level: Level,
  side: PartitionSide,
  requests: readonly StudyRequest[],
  outages: readonly Outage[],
  judgement: Judgement,
  seen: ReadonlySet<string>,
): StreamResults {
  const ofPhase = (phase: Phase): PhaseResults =>
    phaseResults(
      requests.filter((request) => request.phase === phase),
      judgement,
      seen,
    )
  const median = (pick: (outage: Outage) => Outage[keyof Outage]): number | null =>
    orNull(computeMedian(outages.map(pick).filter((value) => typeof value === 'number')))
  return {
    level,
    side,
    phases: { before: ofPhase('before'), during: ofPhase('during'), after: ofPhase('after') },
    served_until_ms: median(({ servedUntilMs }) => servedUntilMs),
    first_answer_ms: median(({ firstAnswerMs }) => firstAnswerMs),
    silent_ms: median(({ silentMs }) => silentMs),
    back_ms: median(({ backMs }) => backMs),
    never_back: outages.filter(({ backMs }) => backMs === undefined).length,
    broken: judgement.broken.get(streamKey(level, side))?.length ?? 0,
  }
}

/** Every value that a get showed, or that a node had at the end. */
function valuesSeen({ calls, finals }: History): ReadonlySet<string> {
  const read = calls.flatMap(({ op, outcome }) =>
    op.f === 'get' && outcome.kind === 'ok' ? (outcome.result.value ?? []) : [],
  )
  return new Set([...read, ...finals.flatMap(({ rows }) => rows.map(({ value }) => value))])
}

function phaseResults(
  requests: readonly StudyRequest[],
  { outdated }: Judgement,
  seen: ReadonlySet<string>,
): PhaseResults {
  const counted = requests.filter(({ counts }) => counts)
  const answered = counted.filter(isAnswered)
  const unknown = counted.filter(({ call }) => call.outcome.kind === 'unknown')
  const ages = requests.filter(isAnsweredInPhase).flatMap(({ age }) => age ?? [])
  const judged = requests.filter(isAnswered)
  const reasons: Record<string, number> = {}
  for (const { call } of counted) {
    if (call.outcome.kind !== 'ok') reasons[call.outcome.why] = (reasons[call.outcome.why] ?? 0) + 1
  }
  return {
    asked: counted.length,
    answered: answered.length,
    refused: counted.length - answered.length - unknown.length,
    unknown: unknown.length,
    unknown_seen: unknown.filter(({ call }) => call.op.f === 'put' && seen.has(call.op.value)).length,
    availability: orNull(computeMedian(successFractions(counted))),
    latency_ms: latencies(answered),
    behind_ms: spread(ages.map(({ behindMs }) => behindMs)),
    behind_revisions: spread(ages.map(({ behindRevisions }) => behindRevisions)),
    claimed_ms: spread(ages.flatMap(({ claimedMs }) => claimedMs ?? [])),
    reasons,
    judged: judged.length,
    outdated: judged.filter(({ call }) => outdated.has(call.id)).length,
  }
}

const isAnswered = ({ answeredMs }: StudyRequest): boolean => answeredMs !== undefined

/** An answer that comes after the phase is left out: it may show a later state. */
const isAnsweredInPhase = ({ answeredMs, phase, round }: StudyRequest): boolean =>
  answeredMs !== undefined && phaseAt(round, answeredMs) === phase

/** The fraction of answered requests, for each round with requests. */
function successFractions(requests: readonly StudyRequest[]): number[] {
  const rounds = [...new Set(requests.map(({ round }) => round))]
  return rounds.map((round) => {
    const own = requests.filter((request) => request.round === round)
    return own.filter(isAnswered).length / own.length
  })
}

const latencies = (requests: readonly StudyRequest[]): Latency | null =>
  spread(
    requests.flatMap(({ call, answeredMs }) => (answeredMs === undefined ? [] : answeredMs - call.startMs)),
  )

const spread = (values: readonly number[]): Latency | null =>
  values.length === 0 ? null : computeLatency(values)

function calmResults(level: Level, requests: readonly StudyRequest[]): StudyResults['calm'][number] {
  const calm = requests.filter(
    (request) =>
      request.level === level && request.phase === 'before' && request.counts && isAnswered(request),
  )
  const served: Record<string, number> = {}
  for (const { call } of calm) {
    const as = call.outcome.kind === 'ok' ? call.outcome.result.served : undefined
    if (as !== undefined) served[as] = (served[as] ?? 0) + 1
  }
  return {
    level,
    leader_ms: latencies(calm.filter(({ call, round }) => call.node === round.leader)),
    follower_ms: latencies(calm.filter(({ call, round }) => call.node !== round.leader)),
    served,
  }
}

const orNull = (value: number | undefined): number | null => (value === undefined ? null : rounded(value))

function versions(): StudyResults['versions'] {
  const processors = cpus()
  return {
    quorate: version(),
    node: process.version,
    os: `${type()} ${release()}`,
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Findings

function collectFindings({ checked, broken, undecided }: Judgement): Finding[] {
  const violations = [...broken].flatMap(([by, messages]) =>
    messages.map(
      (message): Finding => ({
        kind: 'violation',
        message: by === STORE ? message : `${by}: ${message}`,
      }),
    ),
  )
  if (checked.verdict !== 'undecided' && undecided === 0) return violations
  return [...violations, { kind: 'undecided', message: 'the checker ran out of its search budget' }]
}

function whyNothingIsProven(rounds: readonly Round[], outages: Outages, settings: StudySettings): Finding[] {
  const findings: Finding[] = []
  if (rounds.length < settings.rounds)
    findings.push({
      kind: 'proves-nothing',
      message: `${rounds.length} of ${settings.rounds} rounds were played`,
    })
  for (const round of rounds) {
    const of = (side: PartitionSide): Outage | undefined => outages.get(streamKey('write', side))?.get(round)
    if (of('majority')?.firstAnswerMs === undefined)
      findings.push({
        kind: 'proves-nothing',
        message: `round ${round.number}: the majority acknowledged no write in the partition; use a longer --time`,
      })
    for (const side of SIDES) {
      if (of(side)?.backMs === undefined)
        findings.push({
          kind: 'proves-nothing',
          message: `round ${round.number}: the side of the ${side} acknowledged no write after the partition; use a longer --time`,
        })
    }
  }
  return findings
}

/** If a level was not answered even before the partition, the study proves nothing about it. */
function neverServed(requests: readonly StudyRequest[]): Finding[] {
  const served = requests.filter((request) => request.phase === 'before' && isAnswered(request))
  return LEVELS.filter((level) => served.every((request) => request.level !== level)).map((level) => ({
    kind: 'proves-nothing',
    message: `no request of the level ${level} was answered before the partition`,
  }))
}
