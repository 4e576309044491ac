// The first page: whether all is well, and if not, what.

import { useEffect } from 'preact/hooks'
import { history, leaderChanges, members, newest } from '../../cluster/cluster-view.ts'
import { consoleHost } from '../../cluster/console-host.ts'
import { controlState, followControl } from '../../cluster/control.ts'
import { findLeader } from '../../cluster/member-state.ts'
import { Chart } from '../../design/chart.tsx'
import { Empty } from '../../design/empty.tsx'
import { Figure, Figures } from '../../design/figure.tsx'
import { Mark } from '../../design/mark.tsx'
import { Notice } from '../../design/notice.tsx'
import { formatClock, formatCount, formatLatency, formatRate } from '../../design/numbers.ts'
import { PageFrame } from '../../design/page-frame.tsx'
import { findAlarms } from './alarms.ts'
import { MemberTable } from './member-table.tsx'
import './overview.css'
import { TermLine } from './term-line.tsx'

export function Page() {
  const isLocal = consoleHost.value?.kind === 'cluster'
  useEffect(() => {
    if (!isLocal) return
    const ended = new AbortController()
    void followControl(ended.signal)
    return () => ended.abort()
  }, [isLocal])
  const seen = members.value
  if (seen.length === 0) return <PageFrame title="Overview">{null}</PageFrame>
  const now = history.value.at(-1)?.time ?? Date.now()
  const alarms = findAlarms(seen, now, isLocal ? controlState.value : undefined)
  return (
    <PageFrame title={<Verdict alarms={alarms.length} />}>
      {alarms.length > 0 && (
        <section class="alarms" aria-label="Alarms">
          {alarms.map(({ kind, text, command }) => (
            <Notice key={text} kind={kind} command={command}>
              {text}
            </Notice>
          ))}
        </section>
      )}
      <LoadFigures />
      <section aria-labelledby="overview-members">
        <h2 id="overview-members">Members</h2>
        <MemberTable />
      </section>
      <Load />
      <section aria-labelledby="overview-terms">
        <h2 id="overview-terms">Elections</h2>
        <TermLine />
        <Elections />
      </section>
    </PageFrame>
  )
}

/** The answer to the first question, in words. */
function Verdict({ alarms }: { readonly alarms: number }) {
  const leader = findLeader(members.value)
  const answering = members.value.filter(({ error }) => error === undefined).length
  const text =
    leader === undefined
      ? 'Nothing can be written'
      : alarms === 0
        ? 'All is well'
        : answering < members.value.length
          ? 'Serving, with a member down'
          : 'Serving, with something to look at'
  return (
    <>
      {text}
      <span class="verdict-detail">
        {leader === undefined ? (
          'no leader'
        ) : (
          <>
            <Mark of="leader" text={leader.name} /> leads term {formatCount(leader.status?.term ?? 0)}
          </>
        )}
        , {answering} of {members.value.length} members answer
      </span>
    </>
  )
}

function LoadFigures() {
  const last = history.value.at(-1)
  const latency = (p50: number | undefined, p99: number | undefined) =>
    p50 === undefined || p99 === undefined
      ? 'no requests now'
      : `p50 ${formatLatency(p50)} · p99 ${formatLatency(p99)}`
  return (
    <Figures>
      <Figure
        label="Writes"
        value={last && formatRate(last.writesPerSecond)}
        detail={latency(last?.writeP50, last?.writeP99)}
      />
      <Figure
        label="Reads"
        value={last && formatRate(last.readsPerSecond)}
        detail={latency(last?.readP50, last?.readP99)}
      />
      <Figure
        label="Revision"
        value={newest.value && formatCount(newest.value.revision)}
        detail="of the store"
      />
    </Figures>
  )
}

function Load() {
  const samples = history.value
  const times = samples.map(({ time }) => time)
  const from = times[0] ?? Date.now()
  const moments = leaderChanges.value
    .slice(1)
    .map(({ time, leader }) => ({ time, text: leader ?? 'no leader' }))
  return (
    <section class="charts" aria-label="Load since this page was opened">
      <Chart
        label="Requests"
        times={times}
        from={from}
        moments={moments}
        format={formatRate}
        lines={[
          {
            name: 'writes',
            color: '--written',
            values: samples.map(({ writesPerSecond }) => writesPerSecond),
          },
          { name: 'reads', color: '--ink', values: samples.map(({ readsPerSecond }) => readsPerSecond) },
        ]}
      />
      <Chart
        label="Time of a write"
        times={times}
        from={from}
        moments={moments}
        format={formatLatency}
        isLog
        lines={[
          { name: 'p50', color: '--written', values: samples.map(({ writeP50 }) => writeP50) },
          {
            name: 'p99',
            color: '--written',
            isDashed: true,
            values: samples.map(({ writeP99 }) => writeP99),
          },
        ]}
      />
      <Chart
        label="Time of a read"
        times={times}
        from={from}
        moments={moments}
        format={formatLatency}
        isLog
        lines={[
          { name: 'p50', color: '--ink', values: samples.map(({ readP50 }) => readP50) },
          { name: 'p99', color: '--ink', isDashed: true, values: samples.map(({ readP99 }) => readP99) },
        ]}
      />
    </section>
  )
}

function Elections() {
  const changes = leaderChanges.value.slice(1).toReversed()
  if (changes.length === 0)
    return (
      <Empty title="No change of leader since this page was opened">
        <p>
          A node keeps no history for the console. Leave the page open, or use the metrics with Prometheus.
        </p>
      </Empty>
    )
  return (
    <ol class="elections">
      {changes.slice(0, 20).map(({ time, term, leader }) => (
        <li key={time}>
          <time>{formatClock(time)}</time> term {formatCount(term)}{' '}
          {leader === undefined ? (
            <Mark of="candidate" text="no leader" />
          ) : (
            <Mark of="leader" text={leader} />
          )}
        </li>
      ))}
    </ol>
  )
}
