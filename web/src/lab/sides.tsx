// The sides of a partition on the stage, with the wall between them.

import { faults, nodes } from './lab-state.ts'
import { player } from './lesson/lesson-state.ts'
import { sideLines } from './majorities.ts'
import { sideRuns, sideShape } from './partition.ts'
import { drawnSide } from './partition-state.ts'
import { ringOf } from './ring-layout.ts'
import './sides.css'

/** Faults that cut some nodes off from all others, and the side that a person is about to cut off. */
export function Sides() {
  const drawn = drawnSide.value
  // A side that is known to be a majority would answer many a question.
  const isAsked =
    player.step.value?.kind === 'predict' && player.predicted.value === undefined && !player.isAway.value
  const cutting = faults.value.filter(({ kind }) => kind === 'partition' || kind === 'isolate')
  return (
    <g>
      {cutting.map(({ kind, nodes, until }) => (
        <Partition
          key={`${kind} ${nodes} ${until}`}
          side={nodes}
          hasWords={cutting.length === 1 && !isAsked}
        />
      ))}
      {drawn !== undefined && <Partition side={drawn} hasWords={cutting.length === 0} isDrawn />}
    </g>
  )
}

interface PartitionProps {
  readonly side: readonly string[]
  /** Several partitions have more than two sides. */
  readonly hasWords: boolean
  readonly isDrawn?: boolean
}

function Partition({ side, hasWords, isDrawn = false }: PartitionProps) {
  const all = nodes.value
  const ring = ringOf(all.length)
  const isOnSide = all.map(({ name }) => side.includes(name))
  const shapes = (isSmaller: boolean) =>
    sideRuns(isOnSide.map((is) => is === isSmaller)).map((run) => sideShape(ring, run))
  const words = (isSmaller: boolean) => {
    const [first] = shapes(isSmaller)
    const lines = sideLines(
      all.filter((_, at) => isOnSide[at] === isSmaller),
      all,
    )
    return (
      first && (
        <text class="side-words" x={first.words.x} y={first.words.y}>
          {lines.map((line, at) => (
            <tspan key={line} x={first.words.x} dy={at > 0 ? '1.2em' : `${(2 - lines.length) * 0.6}em`}>
              {at === lines.length - 2 ? `${line}: ` : `${line} `}
            </tspan>
          ))}
        </text>
      )
    )
  }
  return (
    <g class={isDrawn ? 'side side-drawn' : 'side'}>
      <path
        class="side-others"
        d={shapes(false)
          .map(({ area }) => area)
          .join('')}
      />
      <path
        class="side-smaller"
        d={shapes(true)
          .map(({ area }) => area)
          .join('')}
      />
      <path
        class="side-wall"
        d={shapes(true)
          .map(({ wall }) => wall)
          .join('')}
      />
      {hasWords && words(true)}
      {hasWords && words(false)}
    </g>
  )
}
