// The cluster as a picture: nodes on a ring, and a line for each direction of each link. The table beside it has the
// same for the keyboard.

import type { ControlState, LinkState } from '../../../../src/operations/documents/control.ts'
import { type Act, shownState } from './act.ts'
import { toggleLink } from './links.tsx'

const SIZE = 400
const RADIUS = 140
const NODE = 34
/** Distance between the two directions of a link. */
const APART = 7

interface Point {
  readonly x: number
  readonly y: number
}

function place(at: number, count: number): Point {
  const angle = (2 * Math.PI * at) / count - Math.PI / 2
  return { x: SIZE / 2 + RADIUS * Math.cos(angle), y: SIZE / 2 + RADIUS * Math.sin(angle) }
}

export function Ring({ state, act }: { readonly state: ControlState; readonly act: Act }) {
  const { nodes, links } = state
  const places = new Map(nodes.map(({ name }, at) => [name, place(at, nodes.length)]))
  return (
    <svg class="ring" viewBox={`0 0 ${SIZE} ${SIZE}`} aria-hidden="true">
      <defs>
        <marker
          id="ring-arrow"
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="7"
          markerHeight="7"
          orient="auto"
        >
          <path d="m0 0 8 4-8 4z" class="ring-arrow" />
        </marker>
      </defs>
      {links.map((link) => {
        const [from, to] = [places.get(link.from), places.get(link.to)]
        return (
          from && to && <LinkLine key={`${link.from} ${link.to}`} link={link} from={from} to={to} act={act} />
        )
      })}
      {nodes.map(({ name }) => {
        const { x, y } = places.get(name) ?? { x: 0, y: 0 }
        const shown = shownState(name)
        return (
          <g key={name} class={`ring-node mark-${shown}`} transform={`translate(${x} ${y})`}>
            <circle r={NODE} />
            <text class="ring-name" y="-2">
              {name}
            </text>
            <text class="ring-role" y="14">
              {shown}
            </text>
          </g>
        )
      })}
    </svg>
  )
}

interface LineProps {
  readonly link: LinkState
  readonly from: Point
  readonly to: Point
  readonly act: Act
}

function LinkLine({ link, from, to, act }: LineProps) {
  const length = Math.hypot(to.x - from.x, to.y - from.y)
  const [dx, dy] = [(to.x - from.x) / length, (to.y - from.y) / length]
  const shift = { x: -dy * APART, y: dx * APART }
  const start = { x: from.x + dx * (NODE + 6) + shift.x, y: from.y + dy * (NODE + 6) + shift.y }
  const end = { x: to.x - dx * (NODE + 6) + shift.x, y: to.y - dy * (NODE + 6) + shift.y }
  const middle = { x: (start.x + end.x) / 2, y: (start.y + end.y) / 2 }
  const path = `M${start.x} ${start.y} ${end.x} ${end.y}`
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the picture is hidden from screen readers; a table has the same.
    <g class={`ring-link ring-link-${link.state}`} onClick={() => toggleLink(link, act)}>
      <title>{`From ${link.from} to ${link.to}: ${link.state}`}</title>
      <path d={path} class="ring-target" />
      <path d={path} class="ring-line" marker-end={link.state === 'open' ? 'url(#ring-arrow)' : undefined} />
      {link.state !== 'open' && (
        <path class="ring-cut" d="m-6-6 12 12m0-12-12 12" transform={`translate(${middle.x} ${middle.y})`} />
      )}
    </g>
  )
}
