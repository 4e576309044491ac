import { render } from 'preact'
import { App } from './app/app.tsx'
import './design/fonts.css'
import './design/tokens.css'
import './design/base.css'

const root = document.getElementById('app')
if (root === null) throw new Error('the page has no element for the console')
render(<App />, root)
