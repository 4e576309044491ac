import './icon.css'

const PATHS = {
  nodes:
    'M8 3.6v3.2M6.6 8.4 4 10.6m5.4-2.2 2.6 2.2M8 3.8a1.3 1.3 0 1 0 0-2.6 1.3 1.3 0 0 0 0 2.6Zm-5 9.6a1.4 1.4 0 1 0 0-2.8 1.4 1.4 0 0 0 0 2.8Zm10 0a1.4 1.4 0 1 0 0-2.8 1.4 1.4 0 0 0 0 2.8ZM8 9.2a1.2 1.2 0 1 0 0-2.4 1.2 1.2 0 0 0 0 2.4Z',
  keys: 'M2.5 3.5h4M2.5 3.5v9h4M2.5 8h4M9 3.5h4.5M9 8h4.5M9 12.5h4.5',
  pulse: 'M1.5 8.5h3L6.5 3l3 10 2-4.5h3',
  lock: 'M3.5 7.5h9v6h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5',
  sliders: 'M2 4.5h5m4 0h3M2 11.5h2m4 0h6M9 2.8v3.4M6 9.8v3.4',
  cut: 'm3 3 10 10M13 3 9.5 6.5M6.5 9.5 3 13M3 3v0M13 13v0',
  user: 'M8 8a2.6 2.6 0 1 0 0-5.2A2.6 2.6 0 0 0 8 8Zm-5 5.5c.6-2.2 2.5-3.3 5-3.3s4.4 1.1 5 3.3',
  sun: 'M8 10.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2ZM8 1.2v1.4m0 10.8v1.4M1.2 8h1.4m10.8 0h1.4M3.2 3.2l1 1m7.6 7.6 1 1m0-9.6-1 1m-7.6 7.6-1 1',
  moon: 'M13 9.4A5.6 5.6 0 0 1 6.6 3 5.6 5.6 0 1 0 13 9.4Z',
  auto: 'M8 13.6A5.6 5.6 0 1 0 8 2.4a5.6 5.6 0 0 0 0 11.2ZM8 2.4v11.2M8 5.2h4.6M8 8h5.4M8 10.8h4.6',
  chevron: 'm6 4 4 4-4 4',
} as const

export type IconName = keyof typeof PATHS | 'quorate'

/** A drawing beside a word. Screen readers read the word. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      {name === 'quorate' ? <Logo /> : <path d={PATHS[name]} />}
    </svg>
  )
}

function Logo() {
  return (
    <>
      <path d="M8 3.4 3.8 11.6h8.4Z" />
      <circle class="icon-ink" cx="3.8" cy="11.6" r="2" />
      <circle class="icon-ink" cx="12.2" cy="11.6" r="2" />
      <circle class="icon-leader" cx="8" cy="4" r="2.5" />
    </>
  )
}
