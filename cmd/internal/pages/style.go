package pages

import (
	"crypto/sha256"
	"encoding/base64"
)

// style is the one style sheet. Nothing in it may refer to anything outside; a change of one byte changes [Policy].
const style = `:root{color-scheme:light}
body{font:11pt/1.45 system-ui,"Segoe UI",Roboto,"Noto Sans","Noto Color Emoji",sans-serif;color:#1a1a1a;background:#fff;max-width:46rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .4rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid #bbb;padding-bottom:.2rem}
h3{font-size:1rem;margin:1.5rem 0 .4rem;color:#222}
h2,h3{break-after:avoid}
p{margin:.4rem 0}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.25rem 1.25rem;margin:.6rem 0}
dt{color:#555}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
ul{margin:.4rem 0;padding-inline-start:1.3rem}
li{overflow-wrap:anywhere;margin:.15rem 0}
.lead{color:#444}
.said{break-inside:avoid;border-inline-start:3px solid #d5d5d5;padding:.1rem 0 .1rem .75rem;margin:.55rem 0}
.user{border-color:#2f6f9f}
.bot{border-color:#b9b9b9}
.operator{border-color:#8a6d1f}
.by{color:#555;font-size:.85rem}
.by b{color:#222}
.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
.happened{color:#444;font-style:italic;overflow-wrap:anywhere;unicode-bidi:isolate}
.more{font:9pt/1.35 ui-monospace,"DejaVu Sans Mono",monospace;color:#444;white-space:pre-wrap;overflow-wrap:anywhere;margin:.15rem 0;unicode-bidi:isolate}
.long{break-inside:auto}
code{font:9pt/1.35 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
footer{margin-top:2.5rem;border-top:1px solid #bbb;padding-top:.5rem;color:#555;font-size:.85rem}
@page{size:A4;margin:18mm}
@media print{body{margin:0;padding:0;max-width:none;font-size:10pt}}
`

// Policy is the Content-Security-Policy of every page. As a header it can say more: see [HeaderPolicy].
var Policy = "default-src 'none'; style-src 'sha256-" + styleHash() + "'; base-uri 'none'; form-action 'none'"

// HeaderPolicy is [Policy] with what only a header may say.
var HeaderPolicy = Policy + "; frame-ancestors 'none'; sandbox allow-modals"

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}
