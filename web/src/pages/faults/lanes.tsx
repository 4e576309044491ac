// Operations of the clients over the last minute: a lane of writes and one of reads for each node. What was done to the
// cluster stands as lines across all lanes.

import { useEffect, useState } from 'preact/hooks'
import { doneActions } from '../../cluster/control.ts'
import { Mark } from '../../design/mark.tsx'
import { formatLatency } from '../../design/numbers.ts'
import { operations, SHOWN_MS, type ShownOperation } from './clients.ts'

const WIDTH = 1_000
const LANE = 14
const HEAD = 4
const STEP_MS = 250

const COLORS = { written: '--written', 'not-written': '--not-written', unknown: '--unknown' } as const

interface LanesProps {
  readonly nodes: readonly string[]
  readonly isRunning: boolean
}

export function Lanes({ nodes, isRunning }: LanesProps) {
  const now = useNow(isRunning)
  return (
    <div class="lanes">
      {nodes.map((node) => (
        <Lane key={node} node={node} now={now} />
      ))}
      <p class="lanes-legend">
        Writes above, reads below, over the last minute.
        <Mark of="written" text="written, or answered" />
        <Mark of="not-written" text="not written, or not answered" />
        <Mark of="unknown" text="unknown whether it was written" />
      </p>
    </div>
  )
}

/** The time of the right edge. It stands still while no client runs. */
function useNow(isRunning: boolean): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (!isRunning) return
    const timer = setInterval(() => setNow(Date.now()), STEP_MS)
    return () => clearInterval(timer)
  }, [isRunning])
  return now
}

function Lane({ node, now }: { readonly node: string; readonly now: number }) {
  const shown = (operations.value.get(node) ?? []).filter(({ from }) => from < now)
  const last = (kind: ShownOperation['kind']) =>
    shown.findLast((each) => each.kind === kind && each.to !== undefined)
  const x = (time: number): number => WIDTH * (1 - (now - time) / SHOWN_MS)
  return (
    <div class="lane">
      <strong>{node}</strong>
      <svg viewBox={`0 0 ${WIDTH} ${2 * LANE + HEAD}`} preserveAspectRatio="none" aria-hidden="true">
        {doneActions.value.map(({ timeMs: time, message }) => (
          <line
            key={`${time} ${message}`}
            class="lane-action"
            x1={x(time)}
            x2={x(time)}
            y1="0"
            y2={2 * LANE + HEAD}
          />
        ))}
        {shown.map(({ id, kind, from, to, outcome, detail }) => (
          <rect
            key={id}
            x={x(from)}
            y={kind === 'write' ? 0 : LANE + HEAD}
            width={Math.max(3, x(to ?? now) - x(from))}
            height={LANE}
            style={{ fill: outcome === undefined ? 'var(--line-strong)' : `var(${COLORS[outcome]})` }}
          >
            <title>{detail}</title>
          </rect>
        ))}
      </svg>
      <span class="lane-last">
        <LastOutcome operation={last('write')} />
        <LastOutcome operation={last('read')} />
      </span>
    </div>
  )
}

function LastOutcome({ operation }: { readonly operation: ShownOperation | undefined }) {
  if (operation?.outcome === undefined || operation.to === undefined) return <span class="dim">–</span>
  const { kind, outcome, from, to, detail } = operation
  const text = kind === 'write' ? undefined : outcome === 'written' ? 'read' : 'not read'
  return (
    <span title={detail}>
      <Mark of={outcome} {...(text === undefined ? undefined : { text })} />{' '}
      <span class="dim">{formatLatency((to - from) / 1000)}</span>
    </span>
  )
}
