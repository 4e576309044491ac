// The messages on their way, as marks on the stage.
//
// A thousand marks may move in a frame. To compare their elements with those of the frame before took longer than the
// frame, so each mark is a root of its own. It is drawn when its message changes, and in a frame it is only moved.

import { render } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'
import type { MessageView } from '../../../jepsen-lite/lab/view.ts'
import { client, messageId, messages, picked, pickMessage } from './lab-state.ts'
import { fateText, messageKind, messageText } from './message-kinds.ts'
import { type LaneOf, pointOn, type StageLane, travelled } from './ring-layout.ts'

/** The content of a mark. A mark with an equal one is not drawn again. */
interface Drawing {
  readonly message: MessageView
  readonly isPicked: boolean
  readonly isStill: boolean
}

interface Mark {
  readonly element: SVGGElement
  drawing: Drawing | undefined
  x: number | undefined
  y: number | undefined
}

export function Messages({ laneOf }: { readonly laneOf: LaneOf }) {
  const group = useRef<SVGGElement>(null)
  const marks = useRef<ReadonlyMap<string, Mark>>(new Map())
  const instant = client.instant.value
  const isStill = !client.isPlaying.value
  const { value } = picked
  const pickedId = value?.kind === 'message' ? value.id : undefined
  const shown = messages.value
  useLayoutEffect(() => {
    const before = marks.current
    const after = new Map<string, Mark>()
    for (const message of shown) {
      const lane = laneOf(message)
      if (lane === undefined) continue
      const id = messageId(message)
      let key = id
      // A message that was doubled.
      while (after.has(key)) key += ' copy'
      const mark = before.get(key) ?? newMark()
      after.set(key, mark)
      draw(mark, { message, isPicked: id === pickedId, isStill })
      move(mark, lane, instant)
    }
    for (const [key, { element }] of before)
      if (!after.has(key)) {
        render(null, element)
        element.remove()
      }
    marks.current = after
    let next = group.current?.firstChild ?? null
    for (const { element } of after.values())
      if (element === next) next = next.nextSibling
      else group.current?.insertBefore(element, next)
  })
  return (
    <g>
      <g ref={group} />
      {client.view.value?.lost.map((message) => {
        const lane = laneOf(message)
        if (lane === undefined) return null
        const { x, y } = pointOn(lane, 1)
        return (
          <path
            key={messageId(message)}
            class="stage-lost"
            d="m-5-5 10 10m0-10-10 10"
            transform={`translate(${x} ${y})`}
          />
        )
      })}
    </g>
  )
}

const SVG = 'http://www.w3.org/2000/svg'

const newMark = (): Mark => ({
  ...{ element: document.createElementNS(SVG, 'g'), drawing: undefined },
  ...{ x: undefined, y: undefined },
})

function draw(mark: Mark, drawing: Drawing): void {
  const before = mark.drawing
  const { message, isPicked, isStill } = drawing
  if (before?.message === message && before.isPicked === isPicked && before.isStill === isStill) return
  mark.drawing = drawing
  render(<MessageMark {...drawing} />, mark.element)
}

function move(mark: Mark, lane: StageLane, instant: number): void {
  if (mark.drawing === undefined) return
  const { x, y } = pointOn(lane, travelled(mark.drawing.message, instant))
  if (mark.x === x && mark.y === y) return
  mark.x = x
  mark.y = y
  // The style of a property takes Chromium less time than an attribute.
  mark.element.style.transform = `translate(${x}px,${y}px)`
}

const SHAPES = {
  contact: <circle r="4" />,
  log: <path d="M-5-5H5V5H-5Z" />,
  election: <path d="M0-6.5 6 4.5H-6Z" />,
  request: <path d="M0-6.5 6.5 0 0 6.5-6.5 0Z" />,
} as const

function MessageMark({ message, isPicked, isStill }: Drawing) {
  const { shape, isAnswer } = messageKind(message.type)
  const decided = fateText(message)
  const refuses = message.label === 'no' || message.type === 'append-rejected'
  const text = `${messageText(message)}, term ${message.term}${decided === undefined ? '' : `, ${decided}`}`
  const classes = ['stage-message', `stage-message-${shape}`]
  if (isAnswer) classes.push('stage-answer')
  if (refuses) classes.push('stage-refusal')
  if (message.fate !== undefined) classes.push('stage-decided')
  return (
    // biome-ignore lint/a11y/useSemanticElements: a picture has no buttons.
    <g
      class={classes.join(' ')}
      role="button"
      // The keyboard reaches messages that stand still.
      tabindex={isStill ? 0 : -1}
      aria-pressed={isPicked}
      aria-label={text}
      onPointerDown={() => pickMessage(message)}
      onKeyDown={(event) => {
        if (event.key !== 'Enter' && event.key !== ' ') return
        event.preventDefault()
        pickMessage(message)
      }}
    >
      <circle class="stage-target" r="14" />
      {SHAPES[shape]}
      {refuses && <path class="stage-slash" d="m-7 7 14-14" />}
      {message.fate === 'lost' && <path class="stage-fate" d="m-9-9 18 18m0-18-18 18" />}
      {message.fate === 'late' && <circle class="stage-fate" r="11" stroke-dasharray="3 3" />}
      {message.fate === 'doubled' && (
        <>
          <circle class="stage-fate" r="9" />
          <circle class="stage-fate" r="13" />
        </>
      )}
    </g>
  )
}
