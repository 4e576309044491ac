// The width of an element in pixels, for pictures whose words keep their size.

import type { RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

/** 0 until the element is shown. */
export function useWidth(): readonly [ref: RefObject<HTMLDivElement | null>, width: number] {
  const ref = useRef<HTMLDivElement>(null)
  const [width, setWidth] = useState(0)
  useEffect(() => {
    const { current } = ref
    if (current === null) return
    const observer = new ResizeObserver(([entry]) => setWidth(Math.round(entry?.contentRect.width ?? 0)))
    observer.observe(current)
    return () => observer.disconnect()
  }, [])
  return [ref, width]
}
