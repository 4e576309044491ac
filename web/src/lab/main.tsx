import { render } from 'preact'
import '../design/fonts.css'
import '../design/tokens.css'
import '../design/base.css'
import { App } from './app.tsx'

const root = document.getElementById('app')
if (root === null) throw new Error('the page has no element for the lab')
render(<App />, root)
