// The cluster as a picture: nodes on a ring with their election timers, links, and messages on their way.

import { useEffect, useMemo, useRef } from 'preact/hooks'
import type { MachineView } from '../../../jepsen-lite/lab/view.ts'
import { client, cuts, isStale, nodes, picked, pickNode } from './lab-state.ts'
import { followLine } from './line-drawing.ts'
import { Messages } from './message-marks.tsx'
import { roleOf, stateText } from './node-states.ts'
import { choose, chosen, drawnLine } from './partition-state.ts'
import {
  ARC_RADIUS,
  arcPath,
  degreesOf,
  type LaneOf,
  laneBetween,
  NODE_RADIUS,
  nodePlace,
  type Point,
  pointOn,
  STAGE,
  type StageLane,
  timeLeft,
} from './ring-layout.ts'
import { Sides } from './sides.tsx'
import './stage.css'

/** The places of these nodes on the ring, and the lanes between them. A lane is the same object each time. */
function placesOf(names: readonly string[]) {
  const places = new Map(names.map((name, at) => [name, nodePlace(at, names.length)]))
  const lanes = new Map<string, StageLane>()
  for (const [from, start] of places)
    for (const [to, end] of places) if (from !== to) lanes.set(`${from} ${to}`, laneBetween(start, end))
  const laneOf: LaneOf = ({ from, to }) => lanes.get(`${from} ${to}`)
  return { places, laneOf }
}

export function Stage() {
  const svg = useRef<SVGSVGElement>(null)
  useEffect(() => (svg.current === null ? undefined : followLine(svg.current)), [])
  const isChoosing = picked.value?.kind === 'partition'
  const names = nodes.value.map(({ name }) => name)
  const { places, laneOf } = useMemo(() => placesOf(names), [names.join()])
  return (
    // biome-ignore lint/a11y/useSemanticElements: a picture is no group of fields.
    <svg
      ref={svg}
      class={isChoosing ? 'stage stage-choosing' : 'stage'}
      viewBox={`0 0 ${STAGE.width} ${STAGE.height}`}
      role="group"
      aria-label="The cluster"
    >
      <Sides />
      <Links places={[...places.values()]} />
      <Cuts laneOf={laneOf} />
      {nodes.value.map((node) => {
        const place = places.get(node.name)
        return place && <Timer key={node.name} node={node} place={place} />
      })}
      {nodes.value.map((node) => {
        const place = places.get(node.name)
        const { value } = picked
        const isPicked = isChoosing
          ? chosen.value.includes(node.name)
          : value?.kind === 'node' && value.name === node.name
        return (
          place && (
            <StageNode
              key={node.name}
              node={node}
              x={place.x}
              y={place.y}
              isAbove={place.y < STAGE.height / 3}
              isPicked={isPicked}
              isStale={isStale(node)}
            />
          )
        )
      })}
      <Messages laneOf={laneOf} />
      <DrawnLine />
    </svg>
  )
}

/** The line of a person through the ring. */
function DrawnLine() {
  const line = drawnLine.value
  if (line === undefined) return null
  return <path class="stage-line" d={`M${line.from.x} ${line.from.y}L${line.to.x} ${line.to.y}`} />
}

/** Picks a node, or chooses it for one side of a partition. */
function press(name: string, isForSide: boolean): void {
  if (isForSide || picked.value?.kind === 'partition') choose(name)
  else pickNode(name)
}

function Links({ places }: { readonly places: readonly Point[] }) {
  const path = places
    .flatMap((from, at) => places.slice(at + 1).map((to) => `M${from.x} ${from.y}L${to.x} ${to.y}`))
    .join('')
  return <path class="stage-links" d={path} />
}

/** A cut lets a message leave, and stops it before the other node. */
function Cuts({ laneOf }: { readonly laneOf: LaneOf }) {
  return (
    <g>
      {cuts.value.map((cut) => {
        const lane = laneOf(cut)
        if (lane === undefined) return null
        const { x, y } = pointOn(lane, 1)
        return (
          // biome-ignore lint/a11y/noStaticElementInteractions: the keyboard ends cuts in the line of faults.
          <g
            key={`${cut.from} ${cut.to}`}
            class="stage-cut-link"
            onClick={() => {
              picked.value = { kind: 'link', ...cut }
            }}
          >
            <path class="stage-cut" d={`M${lane.from.x} ${lane.from.y}L${lane.to.x} ${lane.to.y}`} />
            <path
              class="stage-bar"
              d="M2-8V8"
              transform={`translate(${x} ${y}) rotate(${degreesOf(lane)})`}
            />
            <circle class="stage-target" cx={x} cy={y} r="12" />
          </g>
        )
      })}
    </g>
  )
}

/** The time until a node stands for election, unless it hears from a leader. */
function Timer({ node, place }: { readonly node: MachineView; readonly place: Point }) {
  const { election, state, member } = node
  if (election === undefined || state !== 'running' || member !== 'voter') return null
  const part = timeLeft(election, client.instant.value)
  return (
    <g class={part < SOON ? 'stage-timer stage-timer-soon' : 'stage-timer'}>
      <path d={arcPath(part, ARC_RADIUS)} transform={`translate(${place.x} ${place.y})`} />
    </g>
  )
}

/** The part of a timeout that is left when the arc shows the colour of a candidate. */
const SOON = 0.2

interface StageNodeProps {
  readonly node: MachineView
  readonly x: number
  readonly y: number
  readonly isAbove: boolean
  readonly isPicked: boolean
  readonly isStale: boolean
}

/** Most frames change no node. */
function StageNode(props: StageNodeProps) {
  return useMemo(() => drawNode(props), Object.values(props))
}

function drawNode({ node, x, y, isAbove, isPicked, isStale }: StageNodeProps) {
  const { name, term } = node
  const role = roleOf(node)
  const text = stateText(node, isStale)
  return (
    // biome-ignore lint/a11y/useSemanticElements: a picture has no buttons.
    <g
      class={`stage-node mark-${role}${isStale ? ' stage-stale' : ''}`}
      transform={`translate(${x} ${y})`}
      role="button"
      tabindex={0}
      aria-pressed={isPicked}
      onClick={(event) => press(name, event.shiftKey)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return
        event.preventDefault()
        press(name, event.shiftKey)
      }}
    >
      <circle class="stage-target" r={ARC_RADIUS + 4} />
      <NodeShape role={role} />
      <text class="stage-name" y={role === 'candidate' ? 10 : 5}>
        {`${name} `}
      </text>
      <text class="stage-role" y={isAbove ? -61 : 61}>
        {`${text} `}
      </text>
      <text class="stage-term" y={isAbove ? -45 : 78}>
        term {term}
      </text>
    </g>
  )
}

function NodeShape({ role }: { readonly role: ReturnType<typeof roleOf> }) {
  switch (role) {
    case 'leader':
      return <circle class="stage-solid" r={NODE_RADIUS} />
    case 'candidate':
      return <path class="stage-hollow" d="M0-35 33 25H-33Z" />
    case 'learner':
      return <path class="stage-hollow" d="M0-35 35 0 0 35-35 0Z" />
    case 'paused':
      return (
        <>
          <circle class="stage-hollow stage-gone" r={NODE_RADIUS} />
          <path class="stage-sign" d="M-4-24v9m8-9v9" />
        </>
      )
    case 'down':
      return (
        <>
          <circle class="stage-hollow stage-gone" r={NODE_RADIUS} />
          <path class="stage-sign" d="m-5-24 10 10m0-10-10 10" />
        </>
      )
    default:
      return <circle class="stage-hollow" r={NODE_RADIUS} />
  }
}
