/* Browsers refuse workers to pages opened from a folder. There, the search runs in a hidden frame. */
class FrameWorker extends EventTarget {
  constructor(url) {
    super()
    this.frame = document.createElement("iframe")
    this.frame.hidden = true
    this.ready = new Promise((resolve) => (this.frame.onload = resolve))
    document.body.appendChild(this.frame)
    const inner = this.frame.contentDocument
    inner.open()
    inner.write(`<script>
      postMessage = parent.postMessage.bind(parent)
      importScripts = (...urls) => Promise.all(urls.map((url) => new Promise((resolve) => {
        const script = document.createElement("script")
        script.src = url
        script.onload = resolve
        document.body.appendChild(script)
      })))
    </script><body><script src="${url}"></script></body>`)
    inner.close()
    addEventListener("message", (event) => {
      if (event.source === this.frame.contentWindow) {
        const message = new MessageEvent("message", { data: event.data })
        this.dispatchEvent(message)
        if (this.onmessage) this.onmessage(message)
      }
    })
  }

  postMessage(data) {
    this.ready.then(() =>
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })),
    )
  }

  terminate() {
    this.frame.remove()
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker
