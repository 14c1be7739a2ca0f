//! What clients ask for and how they introduce themselves.

pub(crate) const SITE: &str = "https://www.site.example";

pub(crate) const PAGES: &[&str] = &[
    "/",
    "/about",
    "/contact",
    "/blog/",
    "/blog/2024/a-year-of-small-things",
    "/blog/2024/notes-on-bookbinding",
    "/blog/2025/how-we-moved-the-archive",
    "/blog/2025/the-smallest-server",
    "/blog/2025/winter-reading",
    "/blog/tags/paper",
    "/blog/tags/servers",
    "/docs/",
    "/docs/getting-started",
    "/docs/install",
    "/docs/reference/options",
    "/docs/faq",
    "/projects/",
    "/projects/press",
    "/projects/quire?tab=readme",
    "/search?q=binding",
    "/search?q=paper+weight",
    "/photos/2024/autumn/",
    "/photos/2025/spring/",
    "/imprint",
    "/privacy",
];

pub(crate) const ASSETS: &[&str] = &[
    "/assets/site.css",
    "/assets/site.js",
    "/assets/logo.svg",
    "/assets/fonts/text.woff2",
    "/images/header.jpg",
    "/images/press-small.jpg",
    "/images/quire-small.png",
    "/favicon.ico",
];

/// Links on old pages, and typing mistakes.
pub(crate) const BROKEN: &[&str] = &[
    "/blog/2019/old-address",
    "/docs/gettingstarted",
    "/projects/pres",
    "/images/missing-large.jpg",
    "/download/quire-0.9.zip",
    "/rss",
];

/// What browsers ask for without being told to.
pub(crate) const ICONS: &[&str] = &[
    "/apple-touch-icon-precomposed.png",
    "/apple-touch-icon.png",
    "/favicon-32x32.png",
];

pub(crate) const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:135.0) Gecko/20100101 Firefox/135.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
];

pub(crate) const CRAWLERS: &[&str] = &[
    "ExampleSearch/2.1 (+https://search.example/bot)",
    "Mozilla/5.0 (compatible; ArchiveCrawler/3.4; +https://archive.example/crawler)",
    "LinkWatch/1.0 (https://linkwatch.example)",
];

pub(crate) const READERS: &[&str] = &[
    "QuietReader/4.2 (2 subscribers; https://reader.example)",
    "FeedFetch/1.9",
];

pub(crate) const ELSEWHERE: &[&str] = &[
    "https://search.example/?q=bookbinding",
    "https://search.example/",
    "https://news.example/item/40817",
    "https://forum.example/t/paper/221",
];

/// What scanners look for.
pub(crate) const PROBES: &[&str] = &[
    "/.env",
    "/.env.production",
    "/api/.env",
    "/.git/config",
    "/.git/HEAD",
    "/.aws/credentials",
    "/.ssh/id_rsa",
    "/.vscode/sftp.json",
    "/.DS_Store",
    "/wp-login.php",
    "/wp-admin/install.php",
    "/wp-content/plugins/hellopress/wp_filemanager.php",
    "/wp-includes/wlwmanifest.xml",
    "/blog/wp-includes/wlwmanifest.xml",
    "/xmlrpc.php?rsd",
    "/phpmyadmin/index.php",
    "/pma/",
    "/phpinfo.php",
    "/info.php",
    "/test.php",
    "/config.php.bak",
    "/backup.zip",
    "/backup.sql",
    "/db.sql.gz",
    "/server-status",
    "/actuator/env",
    "/actuator/health",
    "/solr/admin/info/system",
    "/console/",
    "/manager/html",
    "/cgi-bin/luci/;stok=/locale",
    "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php",
    "/boaform/admin/formLogin",
    "/HNAP1/",
    "/owa/auth/logon.aspx",
    "/autodiscover/autodiscover.json",
    "/remote/fgt_lang?lang=/../../../..//////////dev/",
    "/_ignition/execute-solution",
    "/login.action",
    "/geoserver/web/",
];

/// From these, paths are made that stand in no list.
pub(crate) const FOLDERS: &[&str] = &[
    "old", "new", "dev", "stage", "shop", "files", "data", "upload", "portal", "office", "report",
    "internal", "crm", "demo", "beta",
];

pub(crate) const NAMES: &[&str] = &[
    "index", "main", "export", "users", "invoice", "client", "settings", "list", "dump", "panel",
    "account", "service", "item", "query",
];

pub(crate) const ENDINGS: &[&str] = &["", "/", ".html", ".json", ".asp", ".txt", ".xml", "?id=1"];

pub(crate) const TOOLS: &[&str] = &[
    "",
    "python-requests/2.32.3",
    "Go-http-client/1.1",
    "curl/8.5.0",
    "Mozilla/5.0",
    "Mozilla/5.0 zgrab/0.x",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/78.0.3904.108 Safari/537.36",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:62.0) Gecko/20100101 Firefox/62.0",
];
