/** The part of the page that can be seen, in pixels of the window. */
interface Span {
  readonly top: number
  readonly bottom: number
}

/** A panel of which so much can be seen is found without scrolling. */
const SEEN_PX = 96

/** The distance to scroll to a panel below the fold. What was picked, at `pickedTop`, stays in view. */
export function scrollDistance(panel: Span, view: Span, pickedTop = panel.top): number {
  if (panel.top + SEEN_PX <= view.bottom) return 0
  return Math.max(0, Math.min(panel.bottom - view.bottom, pickedTop - view.top))
}
