import { useEffect, useRef } from 'preact/hooks'
import './tabs.css'

interface TabsProps {
  /** The name of the choice, for screen readers. */
  readonly label: string
  readonly tabs: readonly {
    readonly name: string
    readonly text: string
    readonly href: string
    readonly count?: number | undefined
  }[]
  readonly current: string
}

/** Links to the views of a page. The URL says which one is shown. */
export function Tabs({ label, tabs, current }: TabsProps) {
  const bar = useRef<HTMLElement>(null)
  // A narrow screen may have no room for all.
  useEffect(() => {
    bar.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' })
  }, [current])
  return (
    <nav ref={bar} class="tabs" aria-label={label}>
      {tabs.map(({ name, text, href, count }) => (
        <a key={name} href={href} {...(name === current ? { 'aria-current': 'page' as const } : undefined)}>
          {text}
          {count !== undefined && <span class="tabs-count">{count}</span>}
        </a>
      ))}
    </nav>
  )
}
