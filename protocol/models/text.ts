/** Characters that cannot be seen, end a line or turn the direction of writing: they could fool whoever reads a name. */
const hidden = new RegExp(
  String.raw`[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff]`,
)

/** What is wrong with a text that is shown to people, if something is. */
export function checkShown(text: string): string | undefined {
  if (hidden.test(text)) return 'a text has characters that cannot be seen'
  return text === text.trim() ? undefined : 'a text begins or ends with a space'
}

/** What is wrong with a path inside of something (a repository, an archive), if something is. */
export function checkInnerPath(path: string): string | undefined {
  const parts = path.split('/')
  const isSound = parts.every((part) => /^[A-Za-z0-9_+@=,()][A-Za-z0-9_+@=,(). -]*$/.test(part))
  return isSound ? undefined : 'a path must be names joined by "/", none of them "." or ".."'
}

/** What is wrong with the path of a local file, if something is: one that climbs (`..`) could lead out of its folder. */
export function checkLocalPath(path: string): string | undefined {
  if (path === '' || hidden.test(path)) return 'a path has characters that cannot be seen, or none at all'
  return path.split(/[/\\]/).includes('..') ? 'a path must not climb with ".."' : undefined
}

/** What is wrong with an address to fetch from, if something is. */
export function checkUrl(text: string): string | undefined {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    return 'an address must be a complete URL'
  }
  if (url.username !== '' || url.password !== '') return 'an address must hold no password'
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isThisMachine(url.hostname))) return undefined
  return 'an address must begin with https://'
}

/** Whether a host's name means the machine itself. Plain `http:` is for these only: nobody listens in between. */
export const isThisMachine = (hostname: string): boolean =>
  hostname === 'localhost' || /^127(\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]'
