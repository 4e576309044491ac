// Lines that a person draws through the ring, with a mouse, a pen or a finger.

import { cutOffSide, drawnLine } from './partition-state.ts'
import type { Point } from './ring-layout.ts'

/** A pointer that moves less is no line, in units of the stage. */
const MOVED_MIN = 8

/** Elements that a pointer can pick. A line does not begin there. */
const PICKED = '.stage-node, .stage-message, .stage-cut-link'

/** Follows the pointer on the stage until the returned function is called. */
export function followLine(stage: SVGSVGElement): () => void {
  let begun: { readonly pointer: number; readonly from: Point } | undefined
  const pointOf = ({ clientX, clientY }: PointerEvent): Point => {
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(stage.getScreenCTM()?.inverse())
    return { x, y }
  }
  const down = (event: PointerEvent): void => {
    const { target, pointerId, button, isPrimary } = event
    if (button !== 0 || !isPrimary || (target instanceof Element && target.closest(PICKED) !== null)) return
    begun = { pointer: pointerId, from: pointOf(event) }
    stage.setPointerCapture(pointerId)
  }
  const move = (event: PointerEvent): void => {
    if (begun?.pointer !== event.pointerId) return
    const { from } = begun
    const to = pointOf(event)
    if (drawnLine.value === undefined && Math.hypot(to.x - from.x, to.y - from.y) < MOVED_MIN) return
    drawnLine.value = { from, to }
  }
  const up = (event: PointerEvent): void => {
    if (begun?.pointer !== event.pointerId) return
    begun = undefined
    if (drawnLine.value !== undefined) cutOffSide()
  }
  const cancel = (): void => {
    begun = undefined
    drawnLine.value = undefined
  }
  stage.addEventListener('pointerdown', down)
  stage.addEventListener('pointermove', move)
  stage.addEventListener('pointerup', up)
  stage.addEventListener('pointercancel', cancel)
  return () => {
    stage.removeEventListener('pointerdown', down)
    stage.removeEventListener('pointermove', move)
    stage.removeEventListener('pointerup', up)
    stage.removeEventListener('pointercancel', cancel)
  }
}
