import { render } from 'preact'
import { App } from './app.tsx'
import { followAccounts } from './mesh/accounts.ts'
import { followMesh } from './mesh/feed.ts'
import { isMachinesAlone, MachinesAlone } from './views/machines/machines-alone.tsx'

if (isMachinesAlone(location.search)) render(<MachinesAlone />, document.body)
else {
  render(<App />, document.body)
  void followMesh()
  void followAccounts()
}
