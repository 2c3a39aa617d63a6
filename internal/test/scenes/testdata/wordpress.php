<?php
// Installs WordPress with an account admin.
define('WP_INSTALLING', true);
$_SERVER['HTTP_HOST'] = '127.0.0.1:8080';
require '/usr/share/wordpress/wp-load.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';
wp_install('Site', 'admin', 'admin@example.com', false, '', 'the installer made this');
